// What all parts share: elements, requests with the key where one is needed, streams of events.
import { safe } from "/page/safe.js";

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
}

export function field(label, control) {
  return el("label", {}, label, control);
}

export function choice(options, chosen, change) {
  const made = el("select", { onchange: () => change(made.value) },
    options.map((one) => el("option", { value: one, selected: one === chosen }, one)));
  return made;
}

export function status(text, bad = false) {
  const place = document.getElementById("status");
  place.textContent = text;
  place.classList.toggle("bad", bad);
}

export async function request(path, body, signal) {
  for (;;) {
    const key = sessionStorage.getItem("key");
    const headers = { ...(key && { Authorization: `Bearer ${key}` }), ...(body && { "Content-Type": "application/json" }) };
    const reply = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
    if (reply.ok) return reply;
    const told = await reply.json().catch(() => ({}));
    if (reply.status !== 401) throw new Error(told.error?.message ?? `the server answers with ${reply.status}`);
    const typed = prompt("This server needs an API key:");
    if (!typed) throw new Error(told.error.message);
    sessionStorage.setItem("key", typed);
  }
}

export async function api(path, body) {
  return (await request(path, body)).json();
}

export async function* events(path, body, signal) {
  const reader = (await request(path, { ...body, stream: true }, signal)).body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    let end;
    while ((end = held.indexOf("\n\n")) >= 0) {
      const data = held.slice(0, end).replace(/^data: /, "");
      held = held.slice(end + 2);
      if (data === "[DONE]") return;
      const event = JSON.parse(data);
      if (event.error) throw new Error(event.error.message);
      yield event;
    }
  }
}

export async function markdown(text) {
  try {
    return safe((await api("/api/markdown", { text })).html);
  } catch {
    return el("div", { class: "plain" }, text);
  }
}

export function download(name, text) {
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

export function typed(accept, take) {
  const input = el("input", { type: "file", accept, onchange: async () => take(await input.files[0].text()) });
  input.click();
}
