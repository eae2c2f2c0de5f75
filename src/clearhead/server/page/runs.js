// Runs: the curves of one, also while it trains, its report, and two beside each other.
import { api, choice, el, field, request, status } from "/page/common.js";
import { safe } from "/page/safe.js";

const EVERY = 3000; // milliseconds between two looks at a run that trains

export async function show(main, [name, other]) {
  const { folder, runs } = await api("/api/runs");
  if (!runs.length) {
    main.append(el("h1", {}, "Runs"), el("p", {}, `There are no runs in ${folder}; --runs names another folder.`));
    return;
  }
  const names = runs.map((one) => one.name);
  if (!names.includes(name)) return list(main, runs);
  const to = (first, second) => { location.hash = ["runs", first, second].filter(Boolean).map(encodeURIComponent).join("/"); };
  const place = el("div");
  main.append(el("h1", {}, name), el("div", { class: "row" },
    field("compared with", choice(["nothing", ...names.filter((one) => one !== name)], other ?? "nothing", (chosen) => to(name, chosen === "nothing" ? "" : chosen))),
    runs.find((one) => one.name === name).report && el("button", { onclick: () => report(name) }, "Open its report"),
    el("a", { href: "#runs" }, "all runs")), place);
  let before = "";
  const look = async () => {
    const found = await api(`/api/runs/${encodeURIComponent(name)}${other ? `?other=${encodeURIComponent(other)}` : ""}`);
    const now = JSON.stringify(found);
    if (now === before) return;
    before = now;
    place.replaceChildren(
      el("div", { class: "wide" }, el("table", {},
        el("tr", {}, el("th", {}, ""), found.runs.map((one) => el("th", {}, one.name))),
        found.rows.map((row) => el("tr", {}, row.map((cell, i) => el(i ? "td" : "th", {}, cell)))))),
      el("div", { class: "figures" }, found.figures.map((one) => el("figure", {}, safe(one.svg), el("figcaption", {}, one.title)))));
    if (!found.figures.length) place.append(el("p", { class: "soft" }, "Nothing has been measured yet."));
  };
  await look();
  const timer = setInterval(() => look().catch((error) => status(error.message, true)), EVERY);
  return () => clearInterval(timer);
}

function list(main, runs) {
  main.append(el("h1", {}, "Runs"), el("ul", { class: "plain" }, runs.map((one) => el("li", {},
    el("a", { href: `#runs/${encodeURIComponent(one.name)}` }, one.name), el("span", { class: "soft" }, ` ${one.told}`)))));
}

// A report runs scripts of its own, so it is shown in a frame that belongs to nobody.
async function report(name) {
  const address = `/api/runs/${encodeURIComponent(name)}/report`;
  if (!sessionStorage.getItem("key")) return void open(address, "_blank", "noopener");
  const text = await (await request(address)).text();
  const link = el("a", { href: URL.createObjectURL(new Blob([text])), download: `${name}.html` });
  link.click();
}
