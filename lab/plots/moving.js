// Moves the frames that `moving.py` has made. A visitor who wants no motion sees the
// last frame, and may play.
const LAYOUT = `
<div class="moving">
 <div class="head"><button type="button"></button><span class="place"></span></div>
 <div class="tape"><span class="now"></span><span class="ahead"></span></div>
 <div class="steps">
  <div class="step" data-beat="read"><b>1 Read.</b> Both models predict the next chunk.
  <span class="is-learner">Blue</span>: the learner was better;
  <span class="is-twin">orange</span>: its frozen twin.</div>
  <div class="step" data-beat="learn"><b>2 Learn.</b> The learner takes one gradient step
  on the chunk it has just read. The twin never does.</div>
 </div>
 <div class="both">
  <div><h4>The weights that learn have moved by</h4><div class="bars"></div>
   <p class="said">What attention no longer reaches stays only here.</p></div>
  <div><h4>Mean loss so far, nats per token (tokens read, logarithmic)</h4>
   <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
   <polyline class="twin"/><polyline class="learner"/></svg>
   <p class="said" data-told></p></div>
 </div>
</div>`;
const READ = 900, LEARN = 700, LEAP = 170, HOLD = 5000; // milliseconds

export default function ({ data, parentElement }) {
  const root = document.createElement("div");
  root.innerHTML = LAYOUT;
  parentElement.querySelector(".moving")?.parentElement.remove();
  parentElement.append(root);
  const at = (selector) => root.querySelector(selector);
  const make = (kind, text, colour) => {
    const one = document.createElement("span");
    one.textContent = text;
    if (colour) one.style.backgroundColor = colour;
    return one;
  };
  const bars = data.blocks.map((name) => {
    const number = make("span", "");
    number.className = "number";
    const bar = document.createElement("div");
    bar.className = "bar";
    const fill = bar.appendChild(document.createElement("div"));
    at(".bars").append(make("span", name), bar, number);
    return { fill, number };
  });
  const count = (number) => number.toLocaleString("en");
  let frame = 0, timer = null;

  const beat = (name) => {
    for (const step of root.querySelectorAll(".step")) {
      step.classList.toggle("on", step.dataset.beat === name);
    }
  };
  const line = (name, upto) => {
    const [low, high] = data.range, width = Math.log(Math.max(2, data.chunks));
    const y = (value) => 96 - 92 * (value - low) / Math.max(1e-9, high - low);
    return data.frames.slice(0, upto + 1)
      .map((one) => `${100 * Math.log(one.at) / width},${y(one[name])}`).join(" ");
  };
  const read = (i) => {
    const one = data.frames[i];
    at(".now").replaceChildren(...one.pieces.map(([text, colour]) =>
      make("span", text, colour)));
    at(".ahead").textContent = one.ahead;
    at(".place").textContent = `chunk ${count(one.at)} of ${count(data.chunks)}, ` +
      `${count(one.at * data.chunk)} tokens`;
    at("polyline.twin").setAttribute("points", line("twin", i));
    at("polyline.learner").setAttribute("points", line("learner", i));
    at("[data-told]").replaceChildren(
      Object.assign(make("span", `learner ${one.learner.toFixed(2)}`),
        { className: "is-learner" }), ", ",
      Object.assign(make("span", `frozen twin ${one.twin.toFixed(2)}`),
        { className: "is-twin" }),
      `: learning has saved ${(one.twin - one.learner).toFixed(3)} so far.`);
  };
  const learn = (i) => data.frames[i].drift.forEach((share, block) => {
    bars[block].fill.style.width = `${Math.min(100, 100 * share / data.most)}%`;
    bars[block].number.textContent = `${share.toFixed(1)} %`;
  });
  const later = (act, milliseconds) => { timer = setTimeout(act, milliseconds); };
  const play = () => {
    at("button").textContent = "Pause";
    const last = frame === data.frames.length - 1;
    read(frame);
    if (frame >= data.slow) {
      beat("");
      learn(frame);
      return later(next, last ? HOLD : LEAP);
    }
    beat("read");
    later(() => { beat("learn"); learn(frame); later(next, LEARN); }, READ);
  };
  const next = () => { frame = (frame + 1) % data.frames.length; play(); };
  const pause = () => {
    clearTimeout(timer);
    timer = null;
    at("button").textContent = "Play";
  };
  at("button").onclick = () => timer ? pause() : play();
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
    frame = data.frames.length - 1;
    read(frame);
    learn(frame);
    frame = 0;
    pause();
  } else {
    play();
  }
  return () => clearTimeout(timer);
}
