// The live page: takes states from /events and writes them down. Every text from the hall goes in
// as text, never as markup.
"use strict";

const at = (id) => document.getElementById(id);

// The key of the stop button. On plain text it came behind the #, which browsers send nowhere;
// it is taken out of the address, so that a picture or a copied address does not carry it.
let key = location.hash.slice(1);
if (key) {
  history.replaceState(null, "", location.pathname);
}

let last = 0;
let active = false;
let stopping = false;

function make(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function draw(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const known = (value, words) => (value === null ? "not measured" : words(value));
const span = (seconds) => `${Math.max(0, Math.round(seconds))} s`;

function showRun(state) {
  const run = state.run;
  if (!run) {
    at("run").textContent = "no run yet";
    at("phase").textContent = "none";
    return;
  }
  const site = run.site ? ` on ${run.site}` : "";
  const verdict = run.verdict ? `, ${run.verdict}` : "";
  at("run").textContent = `run ${run.id}: ${run.plan}${site}, ${run.state}${verdict}`;
  const place = run.phase
    ? `${run.phase_index + 1} of ${state.phases.length}: ${run.phase}, ` +
      `${span(run.phase_elapsed_s)} of ${span(run.phase_seconds)}; ` +
      `plan ${span(run.elapsed_s)} of ${span(run.plan_seconds)}`
    : run.state;
  const released = run.released_percent === null ? "" : `; released to ${run.released_percent} %`;
  at("phase").textContent = `${place}${released}${run.message ? `. ${run.message}` : ""}`;
}

function showWave(state) {
  const svg = at("wave");
  svg.replaceChildren();
  const total = state.phases.reduce((sum, phase) => sum + phase.seconds, 0);
  if (!state.active || total <= 0) {
    at("wave-words").textContent = "no waveform: no run is active";
    return;
  }
  const x = (seconds) => (1000 * seconds) / total;
  let from = 0;
  for (const phase of state.phases) {
    svg.append(draw("line", { class: "edge", x1: x(from), x2: x(from), y1: 0, y2: 120 }));
    if (phase.band) {
      const [low, high] = [115 - 110 * phase.band.low, 115 - 110 * phase.band.high];
      svg.append(draw("rect", { class: "band", x: x(from), y: high, width: x(phase.seconds),
        height: Math.max(1, low - high) }));
      from += phase.seconds;
      continue;
    }
    const levels = phase.levels.length ? phase.levels : [0, 0];
    const points = levels.map((level, index) => {
      const seconds = from + (phase.seconds * index) / (levels.length - 1);
      return `${x(seconds).toFixed(1)},${(115 - 110 * level).toFixed(1)}`;
    });
    svg.append(draw("polyline", { class: "level", points: points.join(" ") }));
    from += phase.seconds;
  }
  const now = x(state.run.elapsed_s);
  svg.append(draw("line", { class: "now", x1: now, x2: now, y1: 0, y2: 120 }));
  const phase = state.phases[state.run.phase_index];
  const kinds = state.phases.map((each) => `${each.name} (${each.kind})`).join(", ");
  const band = phase && phase.band ? `, ${(100 * phase.band.low).toFixed(0)} to ` +
    `${(100 * phase.band.high).toFixed(0)} % at ${phase.band.hz.toPrecision(3)} Hz` : "";
  const wave = phase && state.run.phase ? `now ${phase.kind}${band}; ` : "";
  at("wave-words").textContent = `${wave}phases: ${kinds}. The upright line is now.`;
}

function tile(rack) {
  const wrong = rack.errors > 0;
  const lost = rack.lost.length > 0;
  const words = wrong ? "WRONG RESULTS" : lost ? "NODE LOST" : rack.heating ? "heating" : "idle";
  const item = make("li", undefined, `rack${lost ? " lost" : ""}${wrong ? " wrong" : ""}`);
  item.append(make("span", words, "state"), make("strong", rack.rack));
  const list = make("dl");
  const row = (name, text) => list.append(make("dt", name), make("dd", text));
  const present = rack.nodes - rack.lost.length;
  row("nodes", `${present}/${rack.nodes}`);
  const part = rack.power_of < present ? ` (of ${rack.power_of} nodes)` : "";
  row("power", known(rack.kw, (kw) => `${kw.toFixed(2)} kW${part}`));
  row("hottest", known(rack.worst_c, (c) => `${c.toFixed(0)} °C ${rack.worst_node}`));
  row("level", known(rack.level, (level) => `${(100 * level).toFixed(0)} %`));
  row("work", `${rack.gflops.toFixed(0)} GFLOP/s`);
  if (wrong) row("wrong", `${rack.errors} blocks`);
  if (lost) row("lost", rack.lost.slice(0, 4).join(", ") + (rack.lost.length > 4 ? " ..." : ""));
  const bar = make("div", undefined, "bar");
  const fill = make("div");
  fill.style.width = `${Math.min(100, 100 * (rack.level ?? 0)).toFixed(0)}%`;
  bar.append(fill);
  item.append(list, bar);
  return item;
}

function showFloor(state) {
  at("floor").replaceChildren(...state.racks.map(tile));
  const measured = state.racks.filter((rack) => rack.kw !== null);
  const kw = measured.reduce((sum, rack) => sum + rack.kw, 0);
  const nodes = state.racks.reduce((sum, rack) => sum + rack.nodes, 0);
  at("total").textContent = state.active
    ? `racks: ${state.racks.length}, nodes: ${nodes}, ` +
      (measured.length ? `${kw.toFixed(2)} kW` : "power not measured")
    : "no run is active";
}

function showFindings(state) {
  const words = at("findings-words");
  if (state.findings === null) {
    words.textContent = state.run ? "the record was not looked at yet" : "";
    at("findings").replaceChildren();
    return;
  }
  const none = state.findings.length ? "" : "none. ";
  words.textContent = none + (state.settled
    ? "The run is over and judged."
    : "A look at the record so far, not a verdict.");
  at("findings").replaceChildren(...state.findings.map((found) => {
    const item = make("li", undefined, found.standing);
    const others = found.cannot_exclude.length
      ? `; can't exclude ${found.cannot_exclude.join(", ")}` : "";
    item.append(
      make("strong", `${found.id} ${found.kind}: ${found.suspect}`),
      make("div", `${found.severity}, ${found.standing}${others}`, "small"),
      make("div", found.action, "small"),
    );
    return item;
  }));
}

function showAgents(state) {
  const silent = state.agents.silent;
  at("agents").textContent = `${state.agents.connected} connected, ${silent.length} silent`;
  at("silent").replaceChildren(...silent.slice(0, 50).map((agent) =>
    make("li", `SILENT ${agent.node}, last seen ${span(agent.silent_s)} ago`)));
}

function showStop() {
  at("stop").disabled = !active || !key || stopping;
  const words = at("stop-words");
  if (!active) {
    stopping = false;
    words.textContent = "no run is active";
  } else if (!key) {
    words.textContent = "this page may look and not stop: open it by the address with the key, " +
      "or with an operator's certificate";
  } else if (!stopping) {
    words.textContent = "ramps every node down; the run ends INTERRUPTED";
  }
}

function show(state) {
  last = Date.now();
  active = state.active && state.run.state !== "stopping" && state.run.state !== "closing";
  showRun(state);
  showWave(state);
  showFloor(state);
  showFindings(state);
  showAgents(state);
  showStop();
}

async function stop() {
  if (!window.confirm("Ramp the whole load down and end this run?")) return;
  stopping = true;
  showStop();
  at("stop-words").textContent = "stopping";
  try {
    const reply = await fetch("/stop", { method: "POST", headers: { "x-loadbank-key": key } });
    at("stop-words").textContent = reply.ok ? "stopping: the load comes down" : await reply.text();
    stopping = reply.ok;
  } catch (error) {
    stopping = false;
    at("stop-words").textContent = `NOT STOPPED, the coordinator does not answer: ${error.message}`;
  }
  at("stop").disabled = stopping;
}

function watchLink() {
  const silent = (Date.now() - last) / 1000;
  const lost = last === 0 || silent > 5;
  at("link").className = lost ? "lost" : "";
  at("link").textContent = last === 0 ? "connecting"
    : lost ? `NOT LIVE: nothing heard for ${span(silent)}` : "live";
}

async function begin() {
  if (!key) {
    const reply = await fetch("/key").catch(() => null);
    if (reply && reply.ok) key = await reply.text();
  }
  at("stop").addEventListener("click", stop);
  const events = new EventSource("/events");
  events.onmessage = (event) => show(JSON.parse(event.data));
  setInterval(watchLink, 1000);
}

begin();
