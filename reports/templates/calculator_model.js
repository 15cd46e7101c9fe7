"use strict";
/* The model's arithmetic: the same design columns, linear predictor and interval as in Python. */
const usstatsModel = (function () {
  function splineColumns(x, knots) {
    const last = knots.length - 1;
    const span = (knots[last] - knots[0]) * (knots[last] - knots[0]);
    const gap = knots[last] - knots[last - 1];
    const cube = function (u) { return u > 0 ? u * u * u : 0; };
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
    linear: function (term, x) { return [x]; },
    log: function (term, x) { return [Math.log(x)]; },
    logit: function (term, x) { return [Math.log(x / (1 - x))]; },
    rcs: function (term, x) { return splineColumns(x, term.knots); },
    factor: function (term, level) {
      return term.levels.slice(1).map(function (other) { return other === level ? 1 : 0; });
    },
  };
  function termColumns(model, term, values) {
    if (term.type !== "interaction") { return kinds[term.type](term, values[term.name]); }
    const sides = term.parts.map(function (name) {
      const main = model.terms.find(function (other) {
        return other.name === name && other.type !== "interaction";
      });
      return kinds[main.type](main, values[name]);
    });
    const columns = [];
    sides[1].forEach(function (b) { sides[0].forEach(function (a) { columns.push(a * b); }); });
    return columns;
  }
  function designRow(model, values) {
    return model.terms.reduce(function (row, term) {
      return row.concat(termColumns(model, term, values));
    }, [1]);
  }
  function dot(a, b) { return a.reduce(function (sum, x, i) { return sum + x * b[i]; }, 0); }
  function inverseLogit(lp) {
    if (lp >= 0) { return 1 / (1 + Math.exp(-lp)); }
    const odds = Math.exp(lp);
    return odds / (1 + odds);
  }
  function predict(model, values) {
    const row = designRow(model, values);
    const lp = row.slice(1).reduce(function (sum, x, i) {
      return sum + (x - model.means[i + 1]) * model.params[i + 1];
    }, model.centred_intercept);
    const variance = dot(row, model.covariance.map(function (line) { return dot(line, row); }));
    const half = model.quantile * Math.sqrt(Math.max(variance, 0));
    return {
      lp: lp,
      risk: inverseLogit(lp),
      low: inverseLogit(lp - half),
      high: inverseLogit(lp + half),
    };
  }
  /* Points of one axis: its share of the linear predictor on the nomogram's scale. */
  function axisPoints(model, axis, values) {
    const row = designRow(model, values);
    const share = axis.columns.reduce(function (sum, j) { return sum + row[j] * model.params[j]; }, 0);
    return (share - axis.zero) * model.points_per_unit;
  }
  function defined(variable, text) {
    if (variable.kind === "factor") { return variable.levels.includes(text) ? text : null; }
    const clean = text.trim().replace(",", ".").replace("\u2212", "-");
    if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(clean)) { return null; }
    const x = Number(clean);
    if (!Number.isFinite(x)) { return null; }
    if (variable.above !== null && x <= variable.above) { return null; }
    if (variable.below !== null && x >= variable.below) { return null; }
    return x;
  }
  return { predict: predict, axisPoints: axisPoints, defined: defined, designRow: designRow };
}());
