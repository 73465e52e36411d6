// The form of a key shows what the chosen dialect's keys may be denied, and hides the others' words for it.
const dialect = document.querySelector("#field-dialect");

function show() {
  for (const fieldset of document.querySelectorAll("fieldset[data-dialect]")) {
    fieldset.hidden = fieldset.dataset.dialect !== dialect.value;
  }
}

dialect.addEventListener("change", show);
show();
