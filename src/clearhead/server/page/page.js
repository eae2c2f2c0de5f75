// The four parts of the page, and which of them is shown. Everything is text until it has passed `safe.js`.
import { api, el, status } from "/page/common.js";
import * as chat from "/page/chat.js";
import * as reason from "/page/reason.js";
import * as runs from "/page/runs.js";
import * as study from "/page/study.js";

const parts = { chat, reason, runs, study };
let leave = () => {};

async function show() {
  const [name, ...rest] = location.hash.slice(1).split("/").map(decodeURIComponent);
  if (name === "main") return document.getElementById("main").focus();
  const part = parts[name] ? name : "chat";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${part}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  leave();
  leave = () => {};
  const main = document.getElementById("main");
  main.replaceChildren();
  try {
    leave = (await parts[part].show(main, rest)) ?? (() => {});
  } catch (error) {
    main.replaceChildren(el("p", { class: "bad" }, String(error.message)));
  }
}

async function begin() {
  for (;;) {
    try {
      const health = await fetch("/health");
      if (health.ok) break;
      status("the models are being loaded");
    } catch {
      status("the server does not answer", true);
    }
    await new Promise((done) => setTimeout(done, 1000));
  }
  const { data } = await api("/v1/models");
  status(data.map((one) => one.id).join(", "));
  addEventListener("hashchange", show);
  await show();
}

begin().catch((error) => status(error.message, true));
