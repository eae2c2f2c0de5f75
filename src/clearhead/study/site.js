"use strict";
// Narrows the list of all questions to those that speak of what is typed. Words are looked up by their stems.
const index = INDEX;
const stop = new Set(index.stop);
const input = document.getElementById("search");
const list = document.getElementById("all");
const told = document.getElementById("told");
const rows = Array.from(list.children);

function stem(word) {
  return index.stems[word] || word;
}

function forms(word) { // a word that is not finished yet stands for all that begin with it
  if (word in index.weights || word in index.stems) return [stem(word)];
  const begun = Object.keys(index.stems).filter((one) => one.startsWith(word)).map(stem);
  return begun.concat(Object.keys(index.weights).filter((one) => one.startsWith(word)));
}

function concepts(words) { // the longest names first; each is a list of names, which are lists of stems
  const found = [];
  for (let at = 0; at < words.length; ) {
    let length = Math.min(4, words.length - at), group = null;
    for (; length > 0; length--) {
      const phrase = words.slice(at, at + length).map(stem).join(" ");
      group = index.terms.find((names) => names.includes(phrase));
      if (group) break;
    }
    found.push(group ? group.map((name) => name.split(" ")) : forms(words[at]).map((one) => [one]));
    at += Math.max(1, length);
  }
  return found;
}

function score(i, names) { // of the best name: all its words must be there, and together where they are in the question
  let best = 0;
  for (const name of names) {
    let sum = 0, whole = true;
    for (const word of name) {
      const weight = (index.weights[word] || {})[i];
      if (weight === undefined) { whole = false; break; }
      sum += weight;
    }
    if (!whole) continue;
    const at = (" " + index.titles[i] + " ").indexOf(" " + name.join(" ") + " ");
    if (name.length > 1 && at < 0) sum /= 2 * name.length;
    best = Math.max(best, sum * (at < 0 ? 1 : 2 - at / index.titles[i].length));
  }
  return best;
}

function narrow() {
  const typed = input.value.toLowerCase().normalize("NFKD").replace(/[\u0300-\u036f]/g, "").replace(/['\u2019]s\b/g, "");
  const words = (typed.match(/[a-z0-9]+/g) || []).filter((word) => !stop.has(word));
  if (!words.length) {
    rows.forEach((row) => { row.hidden = false; list.append(row); });
    told.textContent = rows.length + " questions";
    return;
  }
  const wanted = concepts(words);
  const scored = rows.map((row, i) => {
    const each = wanted.map((names) => score(i, names));
    const share = each.filter((one) => one > 0).length / wanted.length;
    return { row, share, score: share * each.reduce((a, b) => a + b, 0) };
  });
  const most = Math.max(...scored.map((one) => one.share));
  scored.sort((a, b) => b.score - a.score);
  let shown = 0;
  for (const one of scored) {
    one.row.hidden = !(one.share > 0 && one.share >= most / 2);
    shown += !one.row.hidden;
    list.append(one.row);
  }
  told.textContent = shown ? shown + " found" : "nothing found";
}

document.getElementById("searching").hidden = false;
input.addEventListener("input", narrow);
if (location.hash.startsWith("#?")) input.value = decodeURIComponent(location.hash.slice(2));
narrow();
