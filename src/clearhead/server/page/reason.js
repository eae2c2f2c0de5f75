// A problem for the models of a run, and its tree while it grows.
import { api, choice, el, events, field, status } from "/page/common.js";

const WIDEST = 12; // children of a node that are shown

export async function show(main) {
  const { runs } = await api("/api/reason");
  if (!runs.length) {
    main.append(el("h1", {}, "Reason"), el("p", {}, "No run on tasks is served here. Train one, and name its directory: ",
      el("code", {}, "clearhead run demo"), ", then ", el("code", {}, "clearhead serve runs/demo"), "."));
    return;
  }
  let run = runs[0];
  let asked = { strategy: run.usual, budget: 1000, seed: 0, task: "" };
  let running = null;
  const problem = el("input", { type: "text", placeholder: "What is 17 × 24?", "aria-label": "Problem", required: true });
  const place = el("div", { "aria-live": "polite" });
  const number = (key) => el("input", { type: "number", min: key === "budget" ? 1 : 0, value: asked[key], oninput: (event) => { asked[key] = Number(event.target.value); } });
  const draw = () => {
    const form = el("form", { onsubmit: (event) => { event.preventDefault(); solve(); } },
      el("div", { class: "row" }, el("label", { class: "grow" }, "problem", problem),
        el("button", { class: "first" }, "Solve"), el("button", { type: "button", onclick: () => running?.abort() }, "Stop")),
      el("div", { class: "row" },
        field("run", choice(runs.map((one) => one.model), run.model, (name) => { run = runs.find((one) => one.model === name); asked = { ...asked, strategy: run.usual, task: "" }; draw(); })),
        field("task", choice(["any", ...run.tasks], asked.task || "any", (name) => { asked.task = name === "any" ? "" : name; })),
        field("strategy", choice(run.strategies, asked.strategy, (name) => { asked.strategy = name; })),
        field("budget in tokens", number("budget")), field("seed", number("seed"))));
    main.replaceChildren(el("h1", {}, "Reason"), form, place);
  };
  const solve = async () => {
    running?.abort();
    const own = running = new AbortController();
    place.replaceChildren(el("p", { class: "soft" }, "at work …"));
    const body = { model: run.model, problem: problem.value, strategy: asked.strategy, budget: asked.budget, seed: asked.seed, ...(asked.task && { task: asked.task }) };
    try {
      for await (const event of events("/v1/reason", body, own.signal)) {
        if (event.type === "tree") place.replaceChildren(el("p", { class: "soft" }, `${size(event.tree)} steps so far`), tree(event.tree));
        else place.replaceChildren(...answer(event));
      }
    } catch (error) {
      place.replaceChildren(el("p", { class: "bad" }, error.name === "AbortError" ? "stopped" : error.message));
    }
  };
  draw();
  status(runs.map((one) => one.model).join(", "));
  problem.focus();
  return () => running?.abort();
}

function answer(found) {
  const grade = found.answer === null ? "no finished solution" : { true: "right", false: "wrong" }[found.correct] ?? "nobody knows whether it is right";
  const { price } = found;
  return [
    el("h2", {}, found.problem), el("ol", {}, (found.steps ?? []).map((step) => el("li", {}, el("code", {}, step)))),
    el("p", {}, el("strong", {}, `answer: ${found.answer ?? "none"}`), " ", el("span", { class: found.correct === false ? "bad" : "good" }, `(${grade})`)),
    el("p", { class: "soft" }, `${found.strategy}: ${price.generated} generated and ${price.reward} reward-model tokens of ${price.budget}, ${price.seconds.toFixed(2)} s`),
    found.tree && el("h3", {}, "The tree"), found.tree && tree(found.tree),
  ].filter(Boolean);
}

const size = (node) => node.children.reduce((sum, child) => sum + 1 + size(child), 0);

function tree(root) {
  const branch = (node, depth) => {
    const kept = [...node.children].sort((a, b) => b.chosen - a.chosen || b.visits - a.visits);
    const told = `value ${node.raw_value.toFixed(2)} · visits ${node.visits} · prior ${node.prior.toFixed(2)}`;
    const bar = el("span", { class: "bar" });
    bar.style.width = `${Math.max(1, Math.round(48 * node.raw_value))}px`;
    const line = [el("span", { class: "step" }, node.text), bar, el("span", { class: "figures-of" }, told, node.done ? " · finished" : "", node.correct === false ? " · wrong step" : "")];
    const more = kept.length > WIDEST ? el("li", { class: "soft" }, `and ${kept.length - WIDEST} other steps`) : null;
    const below = kept.length ? el("ul", { class: "tree" }, kept.slice(0, WIDEST).map((child) => branch(child, depth + 1)), more) : null;
    const marks = `${node.chosen ? "chosen" : ""}`;
    if (!below) return el("li", { class: marks }, el("div", { class: "node" }, line));
    return el("li", { class: marks }, el("details", { class: "node", open: node.chosen || depth < 1 }, el("summary", {}, line), below));
  };
  return el("ul", { class: "tree" }, branch(root, 0));
}
