"use strict";
// Narrows the list of all questions to those that speak of what is typed: the same rules as in search.py.
const index = INDEX;
const [TITLE, HEADING, ANSWER, K1, DEFINES, SHARE] = index.weights;
const stop = new Set(index.stop);
const input = document.getElementById("search");
const list = document.getElementById("all");
const told = document.getElementById("told");
const rows = Array.from(list.children);
const total = rows.length;
const titles = index.titles.map((words) => " " + words + " ");
const headings = index.headings.map((words) => " " + words + " ");

function stem(word) { // British spelling too, where only the American one was spoken
  const american = word.replace(/is(?=(e[drs]?|ers|ing|ations?)$)/, "iz").replace(/our(?=s?$)/, "or");
  return index.stems[word] || index.stems[american] || word;
}

function forms(word) { // a word that is not finished yet stands for all that begin with it
  const known = stem(word);
  if (known in index.answers || word.length < 3) return [known];
  const begun = Object.keys(index.stems).filter((one) => one.startsWith(word)).map(stem);
  return [...new Set(begun.concat(Object.keys(index.answers).filter((one) => one.startsWith(word))))];
}

function concepts(words) { // the longest names first; each has a key, and its names, which are lists of stems
  const found = new Map();
  for (let at = 0; at < words.length; ) {
    let length = Math.min(4, words.length - at), group;
    for (; length > 0; length--) {
      const phrase = words.slice(at, at + length).map(stem).join(" ");
      group = index.terms.find((names) => names.includes(phrase));
      if (group) break;
    }
    if (group) found.set("= " + group[0], group);
    else found.set(stem(words[at]), forms(words[at]));
    at += Math.max(1, length);
  }
  return found;
}

function counts(i, names) { // how early in the question, and how often in the headings and in the answer
  const words = index.titles[i].split(" ");
  let first = words.length, heading = 0, answer = 0;
  for (const name of names) {
    const parts = name.split(" ");
    const at = titles[i].indexOf(" " + name + " ");
    if (at >= 0) first = Math.min(first, titles[i].slice(1, at + 1).split(" ").length - 1);
    if (headings[i].includes(" " + name + " ")) heading = 1;
    const each = parts.map((part) => (index.answers[part] || {})[i] || 0);
    answer += Math.min(...each) / (parts.length > 1 ? 2 : 1); // that they stand together there is not known
  }
  const early = 1 - first / words.length;
  return [early ? 0.5 + 0.5 * early + (first === 0 && index.defines[i] ? DEFINES : 0) : 0, heading, answer];
}

function search(words) {
  const wanted = [...concepts(words).entries()];
  const keys = new Set(wanted.map(([key]) => key));
  const same = (name) => {
    const named = new Set(concepts(name.split(" ")).keys());
    return named.size === keys.size && [...keys].every((key) => named.has(key));
  };
  const chapter = index.chapters.map((names) => names.some(same));
  const found = rows.map((row, i) => wanted.map(([, names]) => counts(i, names)));
  const rare = wanted.map((_, c) => {
    const n = found.filter((each) => each[c].some((count) => count > 0)).length;
    return n ? Math.log(1 + (total - n + 0.5) / (n + 0.5)) : Math.log(1 + total);
  });
  const whole = rare.reduce((a, b) => a + b, 0);
  return rows.map((row, i) => {
    let coverage = 0, score = 0;
    found[i].forEach(([title, heading, answer], c) => {
      if (!(title || heading || answer)) return;
      const count = TITLE * title + HEADING * heading + ANSWER * answer;
      coverage += rare[c] / whole;
      score += rare[c] * count * (K1 + 1) / (count + K1);
    });
    const pairs = words.slice(1).filter((word, k) => titles[i].includes(" " + stem(words[k]) + " " + stem(word) + " "));
    return { row, i, coverage, score: (chapter[i] ? 1000 : 0) + score * coverage ** 2 * (1 + 0.2 * pairs.length) };
  });
}

function narrow() {
  const typed = input.value.toLowerCase().normalize("NFKD").replace(/[\u0300-\u036f]/g, "").replace(/['\u2019]s\b/g, "");
  const words = (typed.match(/[a-z0-9]+/g) || []).filter((word) => !stop.has(word));
  if (!words.length) {
    rows.forEach((row) => { row.hidden = false; list.append(row); });
    told.textContent = total + " questions";
    return;
  }
  const found = search(words);
  const most = Math.max(...found.map((one) => one.coverage));
  found.sort((a, b) => b.score - a.score || a.i - b.i);
  let shown = 0;
  for (const one of found) {
    one.row.hidden = !(one.coverage > 0 && one.coverage >= SHARE * most) && one.score < 1000;
    shown += !one.row.hidden;
    list.append(one.row);
  }
  told.textContent = shown ? shown + " found" : "nothing found";
}

document.getElementById("searching").hidden = false;
input.addEventListener("input", narrow);
narrow();
