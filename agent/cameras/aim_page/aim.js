// What did the installer draw? Polygons in fractions of the picture, over a picture that keeps coming.

const PERIOD_MS = 350; // three pictures a second: enough to turn a camera by
const IDLE_MS = 15 * 60 * 1000; // nobody has touched the page for so long: let the command end
const PERSON = 0.08; // of the height: the smallest person the agent is made to see

const find = (id) => document.getElementById(id);
const live = find("live"), canvas = find("drawing"), words = document.body.dataset;
let polygons = [], open = [], touchedAt = Date.now(), finished = false, sharp = false;

function draw() {
  const ratio = window.devicePixelRatio || 1;
  const width = (canvas.width = canvas.clientWidth * ratio), height = (canvas.height = canvas.clientHeight * ratio);
  const pen = canvas.getContext("2d");
  pen.lineWidth = 2 * ratio;
  pen.strokeStyle = "#ffb000";
  for (const points of [...polygons, open]) {
    pen.beginPath();
    points.forEach(([x, y]) => pen.lineTo(x * width, y * height));
    if (points !== open) {
      pen.closePath();
      pen.fillStyle = "rgb(0 0 0 / .6)";
      pen.fill();
    }
    pen.stroke();
  }
  pen.fillStyle = "#ffb000";
  for (const [x, y] of open) pen.fillRect(x * width - 4 * ratio, y * height - 4 * ratio, 8 * ratio, 8 * ratio);
  drawPerson(pen, width, height, ratio);
  find("close").disabled = open.length < 3;
  find("undo").disabled = find("clear").disabled = !open.length && !polygons.length;
}

function drawPerson(pen, width, height, ratio) {
  const tall = PERSON * height, x = width - 14 * ratio, y = height - tall - 8 * ratio;
  pen.fillStyle = "#ffb000";
  pen.fillRect(x, y, 6 * ratio, tall);
  pen.font = `${12 * ratio}px sans-serif`;
  pen.textAlign = "right";
  pen.strokeStyle = "#000";
  pen.lineWidth = 3 * ratio;
  pen.strokeText(words.person, x - 4 * ratio, y + tall);
  pen.fillText(words.person, x - 4 * ratio, y + tall);
}

canvas.addEventListener("pointerup", (event) => {
  if (finished) return;
  const frame = canvas.getBoundingClientRect();
  const part = (at, from, size) => Math.min(1, Math.max(0, (at - from) / size));
  open.push([part(event.clientX, frame.left, frame.width), part(event.clientY, frame.top, frame.height)]);
  draw();
});
find("close").addEventListener("click", () => {
  polygons.push(open);
  open = [];
  draw();
});
find("undo").addEventListener("click", () => {
  if (open.length) open.pop();
  else polygons.pop();
  draw();
});
find("clear").addEventListener("click", () => {
  polygons = [];
  open = [];
  draw();
});
find("sharp").addEventListener("click", () => {
  sharp = !sharp;
  find("sharp").setAttribute("aria-pressed", String(sharp));
});
find("save").addEventListener("click", async () => {
  find("save").disabled = true;
  if (open.length >= 3) find("close").click();
  try {
    const answer = await fetch("save", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ polygons }),
    });
    if (!answer.ok) throw new Error(answer.status === 503 ? words.lost : words.failed);
    finished = true;
    live.src = URL.createObjectURL(await answer.blob());
    polygons = [];
    open = [];
    draw();
    tell("result", words.saved, "good");
    for (const button of document.querySelectorAll("button")) button.disabled = true;
  } catch (error) {
    tell("result", error instanceof TypeError ? words.failed : error.message, "bad");
    find("save").disabled = false;
  }
});

function tell(id, sentence, kind) {
  find(id).textContent = sentence;
  find(id).className = kind;
}

function show(url) {
  return new Promise((shown, failed) => {
    const next = new Image();
    next.onload = () => {
      if (!finished) live.src = next.src;
      shown();
    };
    next.onerror = failed;
    next.src = url;
  });
}

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function pictures() {
  for (let number = 0; !finished && Date.now() - touchedAt < IDLE_MS; number++) {
    if (document.hidden) {
      await wait(PERIOD_MS);
      continue;
    }
    try {
      await Promise.all([show(`${sharp ? "main" : "live"}.jpg?${number}`), wait(sharp ? 5 * PERIOD_MS : PERIOD_MS)]);
    } catch {
      await wait(3 * PERIOD_MS);
    }
  }
}

async function hints() {
  while (!finished && Date.now() - touchedAt < IDLE_MS) {
    try {
      const state = await (await fetch(`state${location.search}`)).json();
      tell("hints", state.hints.join(" ") || words.fine, state.hints.length ? "bad" : "good");
    } catch {
      tell("hints", words.lost, "bad");
    }
    await wait(2000);
  }
}

for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => (touchedAt = Date.now()));
new ResizeObserver(draw).observe(canvas);
polygons = await (await fetch("masks")).json();
draw();
pictures();
hints();
