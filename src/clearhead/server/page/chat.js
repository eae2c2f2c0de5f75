// Conversations as trees: an edited question or another answer is a branch beside the first.
import { api, choice, download, el, events, field, markdown, status, typed } from "/page/common.js";

const STORE = "conversations";
const DEFAULTS = { model: "", system: "", temperature: "", top_p: "", max_tokens: "", seed: "", probabilities: false };
let all = load();
let at = all[0].id;
let running = null;

function load() {
  try {
    const found = JSON.parse(localStorage.getItem(STORE));
    if (Array.isArray(found) && found.length && found.every(valid)) return found;
  } catch { /* nothing was kept, or it is broken: begin anew */ }
  return [fresh()];
}

function fresh() {
  return { id: crypto.randomUUID(), title: "New chat", settings: { ...DEFAULTS }, nodes: [], shown: {} };
}

function valid(one) {
  return typeof one?.id === "string" && typeof one.title === "string" && Array.isArray(one.nodes) &&
    typeof one.settings === "object" && typeof one.shown === "object" && one.shown !== null &&
    one.nodes.every((node, i) => ["user", "assistant"].includes(node.role) && typeof node.content === "string" &&
      Number.isInteger(node.parent) && node.parent >= -1 && node.parent < i);
}

function keep() {
  try {
    localStorage.setItem(STORE, JSON.stringify(all));
  } catch {
    status("this browser keeps no more conversations; export or delete some", true);
  }
}

// Nodes are numbered in the order of their birth; `shown` says which child of each is on the path.
const current = () => all.find((one) => one.id === at) ?? all[0];
const children = (talk, parent) => talk.nodes.flatMap((node, i) => (node.parent === parent ? [i] : []));

function path(talk) {
  const found = [];
  for (let parent = -1; ;) {
    const below = children(talk, parent);
    if (!below.length) return found;
    parent = below.includes(talk.shown[parent]) ? talk.shown[parent] : below.at(-1);
    found.push(parent);
  }
}

function add(talk, parent, role, content) {
  talk.nodes.push({ parent, role, content });
  talk.shown[parent] = talk.nodes.length - 1;
  return talk.nodes.length - 1;
}

export async function show(main) {
  const { data } = await api("/v1/models");
  const models = data.map((one) => one.id);
  const draw = () => {
    const talk = current();
    if (!models.includes(talk.settings.model)) talk.settings.model = (data.find((one) => one.chat) ?? data[0]).id;
    main.replaceChildren(bar(draw), settings(talk, models), el("div", { class: "talk", role: "log", "aria-live": "polite" },
      path(talk).map((i) => turn(talk, i, draw))), composer(talk, draw));
    scrollTo(0, document.body.scrollHeight);
  };
  draw();
  const stop = (event) => event.key === "Escape" && running?.abort();
  addEventListener("keydown", stop);
  return () => { removeEventListener("keydown", stop); running?.abort(); };
}

function bar(draw) {
  const talks = el("select", { "aria-label": "Conversation", onchange: () => { running?.abort(); at = talks.value; draw(); } },
    all.map((one) => el("option", { value: one.id, selected: one.id === at }, one.title)));
  const begin = () => { all.unshift(fresh()); at = all[0].id; keep(); draw(); };
  const drop = () => {
    if (!confirm("Delete this conversation?")) return;
    all = all.filter((one) => one.id !== at);
    if (!all.length) all = [fresh()];
    at = all[0].id;
    keep();
    draw();
  };
  return el("div", { class: "row" }, el("span", { class: "grow" }, talks), el("button", { onclick: begin }, "New"),
    el("button", { onclick: () => download("conversation.json", JSON.stringify(exported(current()), null, 1)) }, "Export"),
    el("button", { onclick: () => typed(".json,.jsonl", (text) => { imported(text); draw(); }) }, "Import"),
    el("button", { onclick: drop }, "Delete"));
}

function exported(talk) {
  const system = talk.settings.system ? [{ role: "system", content: talk.settings.system }] : [];
  return { messages: [...system, ...path(talk).map((i) => ({ role: talk.nodes[i].role, content: talk.nodes[i].content }))], clearhead: talk };
}

function imported(text) {
  try {
    const found = JSON.parse(text);
    const talk = valid(found.clearhead) ? { ...found.clearhead, id: crypto.randomUUID() } : fresh();
    if (!found.clearhead) {
      let parent = -1;
      for (const { role, content } of found.messages) {
        if (role === "system") talk.settings.system = String(content);
        else parent = add(talk, parent, role, content);
      }
      talk.title = title(talk.nodes[0]?.content ?? "Imported");
    }
    if (!valid(talk)) throw new Error();
    all.unshift(talk);
    at = talk.id;
    keep();
  } catch {
    status("this file holds no conversation: {\"messages\": [{\"role\", \"content\"}]}", true);
  }
}

const title = (text) => text.trim().slice(0, 40) || "New chat";

function settings(talk, models) {
  const number = (key, step, placeholder) => field(key.replace("_", " "), el("input", {
    type: "number", step, placeholder, value: talk.settings[key], min: 0,
    oninput: (event) => { talk.settings[key] = event.target.value; keep(); },
  }));
  const system = el("textarea", { rows: 2, oninput: () => { talk.settings.system = system.value; keep(); } }, talk.settings.system);
  const shown = el("input", { type: "checkbox", checked: talk.settings.probabilities,
    onchange: () => { talk.settings.probabilities = shown.checked; keep(); } });
  return el("details", { class: "settings" }, el("summary", {}, `Settings · ${talk.settings.model}`), el("div", {},
    field("model", choice(models, talk.settings.model, (model) => { talk.settings.model = model; keep(); })),
    number("temperature", 0.1, "the model's"), number("top_p", 0.05, "the model's"), number("max_tokens", 1, "the server's"),
    number("seed", 1, "any"),
    el("label", { class: "tick" }, shown, "probabilities of the tokens"),
    el("label", { class: "wide-field" }, "instructions", system)));
}

function turn(talk, i, draw) {
  const node = talk.nodes[i];
  const beside = children(talk, node.parent);
  const place = beside.indexOf(i);
  const to = (step) => { talk.shown[node.parent] = beside[place + step]; keep(); draw(); };
  const box = el("div", {}, el("div", { class: "plain" }, node.content));
  if (node.role === "assistant" && node.tokens) box.replaceChildren(tokens(node.tokens));
  else if (node.role === "assistant") markdown(node.content).then((made) => box.replaceChildren(made));
  const tools = el("div", { class: "tools" },
    beside.length > 1 && [el("button", { class: "small", disabled: place === 0, onclick: () => to(-1), "aria-label": "Branch before" }, "‹"),
      el("span", { class: "cut" }, `${place + 1} / ${beside.length}`),
      el("button", { class: "small", disabled: place === beside.length - 1, onclick: () => to(1), "aria-label": "Next branch" }, "›")],
    node.role === "user" && el("button", { class: "small", onclick: () => edit(talk, i, box, draw) }, "Edit"),
    node.role === "assistant" && el("button", { class: "small", onclick: () => answer(talk, node.parent, draw) }, "Regenerate"),
    node.role === "assistant" && el("button", { class: "small", onclick: () => navigator.clipboard.writeText(node.content) }, "Copy"),
    node.why && el("span", { class: "cut" }, node.why));
  return el("div", { class: `turn ${node.role}` }, box, tools);
}

function edit(talk, i, box, draw) {
  const text = el("textarea", { rows: 3, "aria-label": "The question, edited" }, talk.nodes[i].content);
  box.replaceChildren(text, el("div", { class: "tools" },
    el("button", { class: "small first", onclick: () => answer(talk, add(talk, talk.nodes[i].parent, "user", text.value), draw) }, "Send"),
    el("button", { class: "small", onclick: draw }, "Cancel")));
  text.focus();
}

function composer(talk, draw) {
  const text = el("textarea", { rows: 2, "aria-label": "Message", placeholder: "Enter sends, Shift+Enter begins a line, Escape stops",
    onkeydown: (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
    } });
  const send = () => {
    if (!text.value.trim() || running) return;
    const parent = path(talk).at(-1) ?? -1;
    if (parent < 0) talk.title = title(text.value);
    answer(talk, add(talk, parent, "user", text.value), draw);
  };
  const button = running ? el("button", { onclick: () => running.abort() }, "Stop") : el("button", { class: "first", onclick: send }, "Send");
  setTimeout(() => text.focus());
  return el("div", { class: "composer row" }, el("div", { class: "grow" }, text), button);
}

async function answer(talk, parent, draw) {
  if (running) return;
  const messages = [];
  for (let i = parent; i >= 0; i = talk.nodes[i].parent) messages.unshift({ role: talk.nodes[i].role, content: talk.nodes[i].content });
  if (talk.settings.system) messages.unshift({ role: "system", content: talk.settings.system });
  const body = { model: talk.settings.model, messages };
  for (const key of ["temperature", "top_p", "max_tokens", "seed"]) if (talk.settings[key] !== "") body[key] = Number(talk.settings[key]);
  if (talk.settings.probabilities) Object.assign(body, { logprobs: true, top_logprobs: 5 });
  const node = talk.nodes[add(talk, parent, "assistant", "")];
  if (talk.settings.probabilities) node.tokens = [];
  running = new AbortController();
  keep();
  draw();
  const place = document.querySelector(".talk > :last-child > div");
  try {
    for await (const chunk of events("/v1/chat/completions", body, running.signal)) {
      const [told] = chunk.choices;
      node.content += told.delta.content ?? "";
      node.tokens?.push(...(told.logprobs?.content ?? []));
      if (told.finish_reason === "length") node.why = "cut off: max_tokens, or the context is full";
      if (node.tokens) place.replaceChildren(tokens(node.tokens));
      else place.firstChild.textContent = node.content;
      if (innerHeight + scrollY > document.body.scrollHeight - 120) scrollTo(0, document.body.scrollHeight);
    }
    status(talk.settings.model);
  } catch (error) {
    node.why = error.name === "AbortError" ? "stopped" : error.message;
    if (error.name !== "AbortError") status(error.message, true);
  }
  running = null;
  keep();
  if (document.querySelector(".talk")) draw();
}

// Each token with its probability and what was likeliest in its place, on hover and by keyboard.
function tokens(found) {
  const tip = el("div", { class: "tip", hidden: true });
  const shown = found.map((one) => {
    const p = Math.exp(one.logprob);
    const lines = one.top_logprobs.map((other) => `${(100 * Math.exp(other.logprob)).toFixed(1).padStart(5)} %  ${JSON.stringify(other.token)}`);
    const text = `${(100 * p).toFixed(1)} %  ${JSON.stringify(one.token)}\n\n${lines.join("\n")}`;
    const over = (event) => {
      const box = event.target.getBoundingClientRect();
      tip.textContent = text;
      tip.hidden = false;
      tip.style.left = `${Math.max(4, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`;
      tip.style.top = `${box.bottom + 4 + tip.offsetHeight > innerHeight ? box.top - tip.offsetHeight - 4 : box.bottom + 4}px`;
    };
    const out = () => { tip.hidden = true; };
    return el("span", { class: `token ${p < 0.1 ? "p0" : p < 0.5 ? "p1" : ""}`, tabindex: 0, onmouseenter: over, onmouseleave: out, onfocus: over, onblur: out }, one.token);
  });
  return el("div", { class: "plain" }, shown, tip);
}
