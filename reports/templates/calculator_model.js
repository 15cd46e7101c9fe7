"use strict";
/* The model's arithmetic: the same design columns, predictions and intervals as in Python. */
const usstatsModel = (() => {
  function splineColumns(x, knots) {
    const last = knots.length - 1;
    const span = (knots[last] - knots[0]) * (knots[last] - knots[0]);
    const gap = knots[last] - knots[last - 1];
    const cube = (u) => (u > 0 ? u * u * u : 0);
    const columns = [x];
    for (let j = 0; j < last - 1; j += 1) {
      const toLast = (knots[last] - knots[j]) / gap;
      const toSecondLast = (knots[last - 1] - knots[j]) / gap;
      columns.push((cube(x - knots[j]) - cube(x - knots[last - 1]) * toLast
        + cube(x - knots[last]) * toSecondLast) / span);
    }
    return columns;
  }

  const kinds = {
    linear: (term, x) => [x],
    log: (term, x) => [Math.log(x)],
    logit: (term, x) => [Math.log(x / (1 - x))],
    rcs: (term, x) => splineColumns(x, term.knots),
    factor: (term, level) => term.levels.slice(1).map((other) => (other === String(level) ? 1 : 0)),
  };

  function mainTerm(model, name) {
    return model.terms.find((term) => term.name === name && term.type !== "interaction");
  }
  /* Columns of a term; products run over the first part fastest. */
  function termColumns(model, term, values) {
    if (term.type !== "interaction") { return kinds[term.type](term, values.get(term.name)); }
    const [first, second] = term.parts.map((name) => {
      const main = mainTerm(model, name);
      return kinds[main.type](main, values.get(name));
    });
    return second.flatMap((b) => first.map((a) => a * b));
  }
  /* The design of a patient, less that of the reference patient. */
  function awayFromReference(model, values) {
    return model.terms.flatMap((term) => termColumns(model, term, values))
      .map((x, j) => x - model.reference.columns[j]);
  }
  const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);

  /* Standard errors of a transformed linear predictor, one per time of the scale. */
  function standardErrors(model, scale, away) {
    if (model.covariance === null || scale.variance === null) { return null; }
    const own = dot(away, model.covariance.map((row) => dot(row, away)));
    return scale.variance.map((variance, i) => {
      const all = variance + 2 * dot(away, scale.covariance[i]) + own;
      return Math.sqrt(Math.max(all, 0));
    });
  }
  function inverseLogit(lp) {
    if (lp >= 0) { return 1 / (1 + Math.exp(-lp)); }
    const odds = Math.exp(lp);
    return odds / (1 + odds);
  }
  /* The first time at which the cumulative hazard has reached log 2. */
  function firstHalf(scale, lpAt) {
    const at = scale.hazard.findIndex((h, i) => h * Math.exp(lpAt(i)) >= Math.LN2 * (1 - 1e-12));
    return at < 0 ? Infinity : scale.times[at];
  }
  function outcomeAt(scale, lpAt) {
    if (scale.kind === "median") { return firstHalf(scale, lpAt); }
    if (scale.hazard === null) { return inverseLogit(lpAt(0)); }
    const spent = scale.hazard * Math.exp(lpAt(0));
    return scale.kind === "survival" ? Math.exp(-spent) : -Math.expm1(-spent);
  }
  /* Linear predictors of an outcome's limits, for drawing; a median's stand where half survive. */
  function lpOf(scale, time) {
    const steps = scale.times.filter((other) => other <= time).length;
    return Math.log(Math.LN2 / (steps ? scale.hazard[steps - 1] : 0));
  }
  function outcome(model, scale, lp, away) {
    const errors = standardErrors(model, scale, away);
    const estimate = outcomeAt(scale, () => lp);
    if (errors === null) { return { estimate, low: null, high: null, from: null, to: null }; }
    const shifted = (side) => (i) => lp + side * model.quantile * errors[i];
    const ends = [-1, 1].map((side) => outcomeAt(scale, shifted(side)));
    const reach = scale.kind === "median" ? ends.map((time) => lpOf(scale, time))
      : [shifted(-1)(0), shifted(1)(0)];
    return {
      estimate,
      low: Math.min(...ends),
      high: Math.max(...ends),
      from: Math.min(...reach),
      to: Math.max(...reach),
    };
  }

  /* What the model says of a patient; `patient` is a Map or object of numbers and levels. */
  function predict(model, patient) {
    const values = patient instanceof Map ? patient : new Map(Object.entries(patient));
    const away = awayFromReference(model, values);
    const lp = model.reference.lp + dot(away, model.slopes);
    return {
      lp,
      total: (lp - model.nomogram.lp_at_zero) * model.nomogram.points_per_lp,
      risk: outcome(model, model.risk, lp, away),
      outcomes: model.outcomes.map((scale) => outcome(model, scale, lp, away)),
    };
  }
  /* Points of a group of axes; of its variables alone, whatever the others are. */
  function groupPoints(model, group, values) {
    const complete = new Map(model.variables.map((v) => [v.name, v.typical]));
    values.forEach((value, name) => { if (value !== null) { complete.set(name, value); } });
    const away = awayFromReference(model, complete);
    const part = group.columns.reduce((sum, j) => sum + away[j] * model.slopes[j], 0);
    return (part - group.lowest) * model.nomogram.points_per_lp;
  }
  /* Which of a group's axes a patient is read off, and whether it is exactly his. */
  function axisOf(group, values) {
    let position = 0;
    let exact = true;
    group.held.forEach(({ name, options }) => {
      const value = values.get(name);
      const apart = options.map((option) => (
        typeof option === "number" ? Math.abs(option - value) : Number(option !== value)
      ));
      const nearest = Math.min(...apart);
      position = position * options.length + apart.indexOf(nearest);
      exact = exact && nearest === 0;
    });
    return { position, exact };
  }

  /* What was typed, as a value of the variable or a reason why it is none. */
  function parsed(variable, text) {
    if (variable.kind === "factor") {
      return variable.levels.includes(text) ? { value: text } : { value: null, fault: "" };
    }
    const clean = text.normalize("NFKC").trim().replace("\u2212", "-");
    if (clean === "") { return { value: null, fault: "" }; }
    if (/^[+-]?[1-9]\d{0,2}(,\d{3})+$/.test(clean)) {
      return { value: null, fault: "Write the number without a comma: this one can be read in two ways." };
    }
    const plain = clean.replace(",", ".");
    const x = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(plain) ? Number(plain) : NaN;
    const inside = Number.isFinite(x) && (variable.above === null || x > variable.above)
      && (variable.below === null || x < variable.below);
    return inside ? { value: x } : { value: null, fault: variable.domain_text };
  }
  function isOutside(variable, value) {
    return variable.kind === "number" && (value < variable.minimum || value > variable.maximum);
  }

  return { predict, groupPoints, axisOf, parsed, isOutside };
})();
