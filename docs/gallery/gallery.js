// Tables that sort by a click on their heads.
const number = text => {
  const match = text.replaceAll(",", "").match(/^[+-]?[0-9]+(\.[0-9]+)?/);
  return match ? Number(match[0]) : null;
};

const compare = (one, other) => {
  if (number(one) !== null && number(other) !== null) return number(one) - number(other);
  return one.localeCompare(other);
};

const sort = (table, column, head) => {
  const descending = head.ariaSort === "ascending";
  for (const other of head.parentElement.children) other.ariaSort = "none";
  head.ariaSort = descending ? "descending" : "ascending";
  const text = row => row.cells[column].innerText.trim();
  const rows = [...table.tBodies[0].rows].sort((one, other) => {
    if (!text(one) || !text(other)) return Number(!text(one)) - Number(!text(other));  // empty cells last
    return compare(text(one), text(other)) * (descending ? -1 : 1);
  });
  table.tBodies[0].append(...rows);
};

for (const table of document.querySelectorAll(".sortable table")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    head.ariaSort = "none";
    head.tabIndex = 0;
    head.title = "sort";
    head.addEventListener("click", () => sort(table, column, head));
    head.addEventListener("keydown", event => { if (event.key === "Enter") sort(table, column, head); });
  });
}
