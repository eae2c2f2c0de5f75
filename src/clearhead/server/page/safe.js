// Markup of the server, which escapes what others wrote, taken apart and built anew from known elements alone.
const HTML = "p div span a b i em strong code pre ul ol li h1 h2 h3 h4 h5 h6 blockquote table thead tbody tr th td br hr del s figure figcaption wbr";
const MATH = "math mrow mi mn mo ms mtext mspace mfrac msqrt mroot mstyle mpadded mphantom menclose msub msup msubsup munder mover munderover mtable mtr mtd";
const DRAWING = "svg g path line text rect circle title polyline polygon tspan";
const SPACES = { "http://www.w3.org/1999/xhtml": HTML, "http://www.w3.org/1998/Math/MathML": MATH, "http://www.w3.org/2000/svg": DRAWING };
const KNOWN = Object.fromEntries(Object.entries(SPACES).map(([space, names]) => [space, new Set(names.split(" "))]));
const BARRED = /^(on|style$|src|srcset$|action$|form|xlink|xml|id$|name$|target$)/i;

export function safe(markup) {
  const parsed = new DOMParser().parseFromString(markup, "text/html");
  const made = document.createElement("div");
  made.append(...built(parsed.body));
  return made;
}

function built(parent) {
  return [...parent.childNodes].flatMap((node) => {
    if (node.nodeType === Node.TEXT_NODE) return [document.createTextNode(node.data)];
    if (node.nodeType !== Node.ELEMENT_NODE) return [];
    if (!KNOWN[node.namespaceURI]?.has(node.localName)) return built(node);
    const made = document.createElementNS(node.namespaceURI, node.localName);
    for (const { name, value } of node.attributes) {
      if (BARRED.test(name) || (name === "href" && !/^https?:\/\//i.test(value))) continue;
      made.setAttribute(name, value);
    }
    if (node.localName === "a") {
      made.setAttribute("rel", "noreferrer noopener");
      made.setAttribute("target", "_blank");
    }
    made.append(...built(node));
    return [made];
  });
}
