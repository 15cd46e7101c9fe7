"use strict";
/* The page: form and nomogram show the same patient. Text only ever enters as text. */
(() => {
  const byId = (id) => document.getElementById(id);
  const model = JSON.parse(byId("model").textContent);
  const announceAfter = 700;

  /* ---- words ---- */
  function signed(text) { return text.replace("-", "\u2212"); }
  function fixed(x, digits) {
    const shown = x.toFixed(digits);
    return signed(Number(shown) === 0 ? shown.replace("-", "") : shown);
  }
  function percent(p, digits = 1) {
    const least = (10 ** -digits).toFixed(digits);
    const shown = (100 * p).toFixed(digits);
    if (Number(shown) === 0 && p > 0) { return `<${least}%`; }
    if (Number(shown) === 100 && p < 1) { return `>${(100 - 10 ** -digits).toFixed(digits)}%`; }
    return `${shown}%`;
  }
  /* Two percentages that are different in print, too. */
  function percentPair(a, b) {
    let digits = 1;
    while (a !== b && digits < 12 && percent(a, digits) === percent(b, digits)) { digits += 1; }
    return [percent(a, digits), percent(b, digits)];
  }
  function duration(time) {
    if (!Number.isFinite(time)) { return "not reached"; }
    return signed(String(Number(time.toPrecision(3))));
  }
  const written = (scale, x) => (scale.kind === "median" ? duration(x) : percent(x));
  const intervalText = (scale, read) => (
    `${written(scale, read.low)} to ${written(scale, read.high)}`
  );
  function numberText(x) { return signed(String(Number(x.toPrecision(6)))); }
  const words = {
    points: (x) => `${fixed(x, 1)} points`,
    value: (variable, value) => {
      if (value === null || value === undefined) { return ""; }
      if (variable.kind === "factor") { return variable.level_texts[variable.levels.indexOf(value)]; }
      return `${numberText(value)} ${variable.unit}`.trim();
    },
    outcome: written,
    limits: (scale, read) => (read.low === null ? "" : intervalText(scale, read)),
    cutoff: () => (model.threshold === null ? "" : `Cut-off ${percent(model.threshold)}`),
  };

  /* ---- the form ---- */
  function element(name, attributes, ...content) {
    const made = document.createElement(name);
    Object.keys(attributes).forEach((key) => made.setAttribute(key, attributes[key]));
    made.append(...content);
    return made;
  }
  function inputOf(variable, id) {
    if (variable.kind === "number") {
      return element("input", {
        id, type: "text", inputmode: "decimal", autocomplete: "off", enterkeyhint: "next" });
    }
    const choices = variable.levels.map((level, i) => (
      element("option", { value: level }, variable.level_texts[i])));
    return element("select", { id }, element("option", { value: "" }, "Choose"), ...choices);
  }
  const fields = model.variables.map((variable, i) => {
    const id = `field-${i}`;
    const input = inputOf(variable, id);
    input.setAttribute("aria-describedby", `${id}-range ${id}-warning`);
    const label = element("label", { for: id }, element("bdi", {}, variable.label));
    if (variable.unit) { label.append(element("span", { class: "unit" }, ` ${variable.unit}`)); }
    const range = element("p", { id: `${id}-range`, class: "range" }, variable.range_text);
    const warning = element("p", { id: `${id}-warning`, class: "warning" });
    byId("fields").append(element("div", { class: "field" }, label, input, range, warning));
    ["input", "change"].forEach((kind) => input.addEventListener(kind, update));
    return { variable, input, range, warning, given: null };
  });
  const isGiven = ({ given, input }) => given !== null && given.text === input.value;
  function readField(field) {
    const { value, fault } = isGiven(field) ? field.given
      : usstatsModel.parsed(field.variable, field.input.value);
    field.range.textContent = isGiven(field) ? `${field.variable.range_text}; this one ${field.given.source}`
      : field.variable.range_text;
    const outside = value !== null && usstatsModel.isOutside(field.variable, value);
    field.warning.textContent = value === null ? fault : outside
      ? "Outside the range the model was developed in: the risk is an extrapolation." : "";
    field.input.setAttribute("aria-invalid", String(value === null && fault !== ""));
    return { value, outside };
  }
  function setValues(changes) {
    fields.forEach(({ variable, input }) => {
      if (changes.has(variable.name)) { input.value = String(changes.get(variable.name)); }
    });
    update();
  }

  /* ---- the result ---- */
  const others = model.outcomes.map((scale, i) => ({ scale, i })).filter(({ scale }) => (
    scale.kind !== model.risk.kind || scale.time !== model.risk.time));
  others.forEach((other) => {
    other.node = element("td", {});
    byId("others").append(element("tr", {}, element("th", { scope: "row" }, other.scale.title), other.node));
  });
  document.querySelector(".more").hidden = others.length === 0;
  byId("cutoff").hidden = model.threshold === null;

  function cutoffText(risk) {
    if (model.threshold === null) { return ""; }
    const [shown, cutoff] = percentPair(risk, model.threshold);
    const exactly = shown === percent(risk) ? "" : ` (${shown})`;
    const side = risk >= model.threshold ? "At or above" : "Below";
    return `${side} the frozen cut-off of ${cutoff}${exactly}.`;
  }
  function limitsText(read) {
    if (read.low === null) { return "No interval: this kind of model has no standard errors."; }
    return `${model.level_text} CI ${intervalText(model.risk, read)}`;
  }
  function show(answer, missing, outside) {
    const set = (id, text) => { byId(id).textContent = text; };
    const names = missing.map((field) => field.variable.label).join(", ");
    set("risk", answer === null ? "\u2013" : percent(answer.risk.estimate));
    set("interval", answer !== null ? limitsText(answer.risk)
      : missing.length === fields.length ? "Enter values, or move the markers of the nomogram."
        : `Still needed: ${names}.`);
    set("cutoff", answer === null ? "" : cutoffText(answer.risk.estimate));
    set("outside", outside.length === 0 || answer === null ? ""
      : `Extrapolated beyond development: ${outside.map((field) => field.variable.label).join(", ")}.`);
    set("total", answer === null ? "\u2013" : fixed(answer.total, 1));
    set("lp", answer === null ? "\u2013" : fixed(answer.lp, 3));
    others.forEach(({ scale, i, node }) => {
      const read = answer === null ? null : answer.outcomes[i];
      const limits = read === null || read.low === null ? "" : ` (${intervalText(scale, read)})`;
      node.textContent = read === null ? "\u2013" : written(scale, read.estimate) + limits;
    });
    document.body.classList.toggle("answered", answer !== null);
  }
  function betweenText(values) {
    const between = new Set(model.nomogram.groups.flatMap((group) => group.held.filter(({ name, options }) => (
      values.get(name) !== null && !options.includes(values.get(name))
    )).map(({ name }) => name)));
    const labels = model.variables.filter((v) => between.has(v.name)).map((v) => v.label);
    return labels.length === 0 ? "" : `Hollow marker: ${labels.join(", ")} lies between the axes drawn. `
      + "The marker stands on the nearest one; its points are computed from the model.";
  }

  /* Screen readers hear the result once the values rest, not at every step of a marker. */
  let waiting = 0;
  let said = "";
  function announce() {
    window.clearTimeout(waiting);
    waiting = window.setTimeout(() => {
      const parts = ["what", "risk", "interval", "cutoff", "outside"].map((id) => byId(id).textContent);
      const answered = document.body.classList.contains("answered");
      const text = answered ? parts.filter(Boolean).join(". ").replace(/\.\./g, ".") : "";
      if (text !== said) { byId("spoken").textContent = text; }
      said = text;
    }, announceAfter);
  }

  let nomogram = null;
  function update() {
    const values = new Map();
    const outside = [];
    fields.forEach((field) => {
      const read = readField(field);
      values.set(field.variable.name, read.value);
      if (read.outside) { outside.push(field); }
    });
    const missing = fields.filter((field) => values.get(field.variable.name) === null);
    const answer = missing.length ? null : usstatsModel.predict(model, values);
    show(answer, missing, outside);
    byId("between").textContent = betweenText(values);
    if (nomogram !== null) { nomogram.update(values, answer); }
    announce();
  }

  const ownVariables = () => fields.filter((field) => !isGiven(field)).map((field) => field.variable);

  /* ---- buttons, and a drawing that fits its paper ---- */
  byId("typical").addEventListener("click", () => {
    setValues(new Map(ownVariables().map((v) => [v.name, v.usual])));
  });
  byId("clear").addEventListener("click", () => {
    setValues(new Map(ownVariables().map((v) => [v.name, ""])));
    fields[0].input.focus();
  });
  byId("print").addEventListener("click", () => window.print());
  byId("form").addEventListener("submit", (event) => event.preventDefault());
  /* A value from elsewhere on the page: shown rounded, and used in full until it is edited. */
  byId("form").addEventListener("usstats:value", ({ detail }) => {
    const field = fields.find(({ variable }) => variable.name === detail.name);
    field.given = detail.value === null ? null : { ...detail, fault: "" };
    setValues(new Map([[detail.name, detail.text]]));
  });

  nomogram = usstatsNomogram.create(byId("nomogram"), model, words, setValues);
  let width = byId("nomogram").parentElement.clientWidth;
  window.addEventListener("resize", () => {
    const now = byId("nomogram").parentElement.clientWidth;
    if (now !== width) { nomogram.build(); }
    width = now;
  });
  window.addEventListener("beforeprint", () => nomogram.build(700));
  window.addEventListener("afterprint", () => nomogram.build());
  update();
})();
