// The guide, cards to review, and exercises to code.
import { api, choice, el, field, markdown, status } from "/page/common.js";

const RATINGS = ["again", "hard", "good", "easy"];

export async function show(main, [part, name]) {
  main.append(el("h1", {}, "Study"), el("div", { class: "row" },
    [["guide", "Guide"], ["cards", "Cards"], ["practice", "Practice"]].map(([key, label]) => el("a", { href: `#study/${key}` }, label))));
  if (part === "cards") return cards(main);
  if (part === "practice") return name ? exercise(main, name) : practice(main);
  main.append(el("iframe", { src: "/guide/index.html", title: "The guide" }));
}

async function cards(main) {
  const { decks } = await api("/api/study/decks");
  let deck = decks.find((one) => one.due || one.new)?.deck ?? decks[0].deck;
  const place = el("div");
  const pick = field("deck", choice(decks.map((one) => one.deck), deck, (name) => { deck = name; next(); }));
  let rate = () => {};
  const next = async () => {
    const { card, waiting } = await api(`/api/study/next?deck=${encodeURIComponent(deck)}`);
    status(`${waiting} waiting`);
    if (!card) {
      rate = () => {};
      return place.replaceChildren(el("p", {}, "Nothing waits now."));
    }
    const answer = el("div", { hidden: true }, await markdown(card.answer || "(no answer in these notes)"));
    const buttons = el("div", { class: "row", hidden: true }, RATINGS.map((label, i) => el("button", { onclick: () => rate(i + 1) }, `${i + 1} ${label} · ${card.intervals[i]}`)));
    const show = el("button", { class: "first", onclick: () => { answer.hidden = buttons.hidden = false; show.hidden = true; } }, "Show the answer (Space)");
    rate = async (rating) => {
      if (answer.hidden) return rating === 0 ? show.click() : undefined;
      if (!rating) return;
      rate = () => {};
      await api("/api/study/rate", { card: card.id, rating });
      await next();
    };
    place.replaceChildren(el("p", { class: "soft" }, card.section.join(" / ")), el("h2", {}, await markdown(card.question)), answer, show, buttons);
  };
  const key = (event) => {
    if (/^(INPUT|SELECT|TEXTAREA|BUTTON)$/.test(event.target.tagName)) return;
    if (event.key === " ") { event.preventDefault(); rate(0); }
    if ("1234".includes(event.key)) rate(Number(event.key));
  };
  main.append(pick, place);
  addEventListener("keydown", key);
  await next();
  return () => removeEventListener("keydown", key);
}

async function practice(main) {
  const { exercises } = await api("/api/practice");
  for (const section of [...new Set(exercises.map((one) => one.section))].sort()) {
    main.append(el("h2", {}, section), el("ul", { class: "plain" }, exercises.filter((one) => one.section === section).map((one) => el("li", {},
      el("a", { href: `#study/practice/${one.name}` }, one.title), el("span", { class: "good" }, one.passed ? " passed" : "")))));
  }
}

async function exercise(main, name) {
  const found = await api(`/api/practice/${encodeURIComponent(name)}`);
  const kept = `practice:${name}`;
  const code = el("textarea", { class: "code", rows: 22, spellcheck: "false", autocapitalize: "off", "aria-label": "Your solution",
    oninput: () => sessionStorage.setItem(kept, code.value),
    onkeydown: (event) => {
      if (event.key === "Tab" && !event.shiftKey && !left) { event.preventDefault(); code.setRangeText("    ", code.selectionStart, code.selectionEnd, "end"); }
      left = event.key === "Escape"; // Escape, then Tab leaves the editor
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) grade();
    } }, sessionStorage.getItem(kept) ?? found.stub);
  let left = false;
  const verdict = el("div", { role: "status" });
  const hints = el("ol");
  const grade = async () => {
    verdict.replaceChildren(el("p", { class: "soft" }, "running your solution …"));
    try {
      const told = await api(`/api/practice/${encodeURIComponent(name)}`, { source: code.value });
      verdict.replaceChildren(el("p", { class: told.passed ? "good" : "bad" }, told.passed ? `passed, ${told.cases} cases` : "not yet"),
        ...(told.printed.trim() ? [el("pre", {}, told.printed)] : []), el("ul", {}, told.said.map((line) => el("li", {}, line))), ...(told.shown ? [el("pre", {}, told.shown)] : []));
    } catch (error) {
      verdict.replaceChildren(el("p", { class: "bad" }, error.message));
    }
  };
  main.append(el("h2", {}, found.title), await markdown(found.statement), code, el("div", { class: "row" },
    el("button", { class: "first", onclick: grade }, "Grade (Ctrl+Enter)"),
    el("button", { onclick: () => { const hint = found.hints[hints.children.length]; if (hint) hints.append(el("li", {}, hint)); } }, "Hint"),
    el("button", { onclick: () => { code.value = found.stub; sessionStorage.removeItem(kept); } }, "Begin again")), verdict, hints);
}
