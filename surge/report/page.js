"use strict";
// The table of offices: sorted, filtered and shown piece by piece, so that 7,285 rows open at once.
(() => {
  const began = performance.now();
  const data = JSON.parse(document.getElementById("office-data").textContent);
  const table = document.getElementById("offices");
  const body = table.tBodies[0];
  const find = document.getElementById("find");
  const told = document.getElementById("told");
  const more = document.getElementById("more");
  const STEP = 40;
  let column = data.sorted, falling = true, shown = STEP, rows = data.rows;

  const order = (a, b) => {
    const x = a[column], y = b[column];
    if (x === y) return a[0] < b[0] ? -1 : 1;
    // What is not known stands last, whichever way.
    if (x === null) return 1;
    if (y === null) return -1;
    return (x < y ? -1 : 1) * (falling ? -1 : 1);
  };
  const cell = (row, index) => {
    const td = document.createElement("td");
    const form = data.forms[index], value = row[index];
    td.textContent = value === null ? "–" : form === "text" ? value : FORMS[form](value);
    if (form !== "text") td.className = "n";
    return td;
  };
  const number = new Intl.NumberFormat(data.language === "id" ? "id-ID" : "en-GB", { maximumFractionDigits: 0 });
  const small = new Intl.NumberFormat(data.language === "id" ? "id-ID" : "en-GB", { maximumSignificantDigits: 3 });
  const FORMS = {
    count: (value) => number.format(value),
    share: (value) => `${Math.round(value * 100)}%`,
    seconds: (value) => {
      if (value < 1) return `${Math.round(value * 1000)} ms`;
      for (const [size, unit] of data.units) if (value >= 2 * size) return `${small.format(value / size)} ${unit}`;
      return `${small.format(value)} ${data.second}`;
    },
  };
  const draw = () => {
    const words = find.value.trim().toLowerCase();
    rows = words ? data.rows.filter((row) => data.forms.some((form, i) => form === "text" && row[i] && row[i].toLowerCase().includes(words))) : data.rows.slice();
    rows.sort(order);
    const piece = document.createDocumentFragment();
    for (const row of rows.slice(0, shown)) {
      const tr = document.createElement("tr");
      row.forEach((_, index) => tr.append(cell(row, index)));
      piece.append(tr);
    }
    body.replaceChildren(piece);
    told.textContent = data.told.replace("{shown}", number.format(Math.min(shown, rows.length))).replace("{all}", number.format(rows.length));
    more.hidden = shown >= rows.length;
    table.querySelectorAll("th").forEach((th, index) => {
      th.setAttribute("aria-sort", index !== column ? "none" : falling ? "descending" : "ascending");
      th.querySelector("i").textContent = index !== column ? "" : falling ? " ▾" : " ▴";
    });
  };
  table.querySelectorAll("th button").forEach((button, index) => {
    button.addEventListener("click", () => {
      falling = index === column ? !falling : data.forms[index] !== "text";
      column = index;
      shown = STEP;
      draw();
    });
  });
  find.addEventListener("input", () => { shown = STEP; draw(); });
  more.addEventListener("click", () => { shown += 10 * STEP; draw(); });
  draw();
  document.documentElement.dataset.tableMs = Math.round(performance.now() - began);
})();
