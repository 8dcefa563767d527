// A few words beside each result of the search, from excerpts.js: a page opened from a disk may not read another one.
const AROUND = 120;

// The book's own spelling of words that are also written with an s.
function spelled(query) {
  return query.replace(/(\w{3,}(?:al|ar|at|en|er|ic|il|im|on|or|um))is(e[drs]?|ing|ations?)\b/gi, "$1iz$2");
}

function excerpt(link) {
  const [file, anchor] = link.getAttribute("href").split("#");
  const page = EXCERPTS[file.replace(/^(\.\.\/)+/, "").replace(/\.html.*$/, "")] ?? [];
  const section = page.filter(([place]) => place === `#${anchor}`);
  const text = (section.length ? section : page).map(([, words]) => words).join(" ");
  const query = spelled(new URLSearchParams(location.search).get("q") ?? "").toLowerCase();
  const found = splitQuery(query).map(word => text.toLowerCase().indexOf(word.slice(0, 8))).filter(at => at >= 0);
  const start = Math.max(0, Math.min(...found.concat(found.length ? [] : [0])) - AROUND);
  const part = text.slice(start, start + 2 * AROUND).trim();
  return part && `${start ? "… " : ""}${part}${start + 2 * AROUND < text.length ? " …" : ""}`;
}

const perform = Search.performSearch;
Search.performSearch = query => perform(spelled(query));

new MutationObserver(() => {
  for (const result of document.querySelectorAll("ul.search > li:not(:has(p.context))")) {
    const words = document.createElement("p");
    words.className = "context";
    words.textContent = excerpt(result.querySelector("a"));
    result.append(words);
  }
}).observe(document.getElementById("search-results"), { childList: true, subtree: true });
