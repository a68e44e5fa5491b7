// Keeps a page true without being asked to: fetches it again every few seconds and takes over the
// regions marked data-live; counts clocks down; says aloud, politely, what changed; and says loudly when
// the page could not be brought up to date. Everything works without this file, by reloading.
"use strict";

(() => {
  const EVERY = 10_000, LONGEST = 120_000, PATIENCE = 8_000, STALE = 25_000;
  const body = document.body, address = body.dataset.refresh;
  let failures = 0, timer = 0, asked = false, over = false;
  let fresh = performance.now(), skew = 0;

  const byId = (id) => document.getElementById(id);
  const live = (root, name) => root.querySelector(`[data-live="${name}"]`);

  const say = (text) => { byId("told").textContent = text; };

  // -- clocks --------------------------------------------------------------------------------------

  // The daemon's clock counts, not this machine's: the difference is taken whenever the page is fetched.
  const takeClock = (root) => {
    const shown = root.querySelector("[data-now]");
    if (shown) skew = Date.parse(shown.dataset.now) - Date.now();
  };

  const lasting = (seconds) => {
    const two = (number) => String(number).padStart(2, "0");
    if (seconds >= 2 * 86_400) return `${Math.floor(seconds / 86_400)} days ${Math.floor(seconds / 3600) % 24}h`;
    const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60, rest = seconds % 60;
    if (hours) return `${hours}h ${two(minutes)}m ${two(rest)}s`;
    return minutes ? `${minutes}m ${two(rest)}s` : `${rest}s`;
  };

  const tick = () => {
    const now = Date.now() + skew;
    for (const clock of document.querySelectorAll("[data-deadline]")) {
      const left = Math.floor((Date.parse(clock.dataset.deadline) - now) / 1000);
      clock.textContent = left >= 0 ? `${lasting(left)} left` : `${lasting(-left)} over`;
      clock.classList.toggle("passed", left < 0);
    }
    if (address && !over && performance.now() - fresh > STALE && !document.hidden) sayStale();
  };

  // -- what is not true any more -------------------------------------------------------------------

  const sayStale = () => {
    const since = new Date(Date.now() - (performance.now() - fresh));
    const time = since.toLocaleTimeString("en-GB", { timeZone: "Europe/London", timeZoneName: "short" });
    warn(`Not updated since ${time}: the monitor does not answer. What is shown may no longer be true.`);
  };

  const warn = (text, link) => {
    const place = byId("stale");
    body.classList.add("is-stale");
    if (place.dataset.text === text) return;
    place.dataset.text = text;
    place.textContent = text;
    if (link) place.append(" ", Object.assign(document.createElement("a"), link));
    place.hidden = false;
  };

  const unwarn = () => {
    const place = byId("stale");
    body.classList.remove("is-stale");
    delete place.dataset.text;
    place.textContent = "";
    place.hidden = true;
  };

  // -- taking over ---------------------------------------------------------------------------------

  // How to find again, in a region that was replaced, what had the focus.
  const trail = (region, element) => {
    if (element.id) return (root) => byId(element.id);
    const href = element.getAttribute("href");
    const alike = (root) => [...root.querySelectorAll(element.localName)];
    if (href) return (root) => alike(root).find((one) => one.getAttribute("href") === href);
    const place = alike(region).indexOf(element);
    return (root) => alike(root)[place];
  };

  const plain = (element) => element.textContent.replace(/\d+ days \d+h|\d+h \d+m \d+s|\d+m \d+s|\d+s/g, "").replace(/\s+/g, " ").trim();

  const swap = (old, next) => {
    // Clocks run here too, so markup differs by their text alone: such a region is left as it is.
    const same = old.cloneNode(true), other = next.cloneNode(true);
    for (const root of [same, other])
      for (const clock of root.querySelectorAll("[data-deadline]")) { clock.textContent = ""; clock.className = "clock"; }
    for (const root of [same, other]) {
      for (const fold of root.querySelectorAll("details")) fold.removeAttribute("open");
      for (const button of root.querySelectorAll("button[data-copies]")) button.hidden = false;
    }
    if (same.innerHTML === other.innerHTML) return "";
    const open = new Set([...old.querySelectorAll("details[open][id]")].map((one) => one.id));
    const scrolled = [...old.querySelectorAll("[id]")].filter((one) => one.scrollTop || one.scrollLeft)
      .map((one) => [one.id, one.scrollTop, one.scrollLeft]);
    const focus = old.contains(document.activeElement) ? trail(old, document.activeElement) : null;
    const before = plain(old);
    old.replaceChildren(...document.adoptNode(next).childNodes);
    for (const id of open) byId(id)?.setAttribute("open", "");
    for (const [id, top, left] of scrolled) byId(id)?.scrollTo(left, top);
    focus?.(old)?.focus({ preventScroll: true });
    const after = plain(old);
    return before === after ? "" : after;
  };

  // A region in which somebody types or chooses is theirs until they are done.
  const busy = (region) => region.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");

  const takeOver = (fetched) => {
    takeClock(fetched);
    const told = [];
    for (const old of document.querySelectorAll("[data-live]")) {
      const next = live(fetched, old.dataset.live);
      if (!next || busy(old)) continue;
      const after = swap(old, next);
      if (after && "announce" in old.dataset) told.push(after);
    }
    if (told.length) say(told.join(". "));
    document.title = fetched.title;
    tick();
    document.dispatchEvent(new CustomEvent("monitor:fresh"));
  };

  // -- fetching ------------------------------------------------------------------------------------

  const refresh = async () => {
    if (asked || over) return;
    asked = true;
    clearTimeout(timer);
    try {
      const answer = await fetch(address, {
        headers: { Accept: "text/html", "Monitor-Refresh": "1" },
        cache: "no-store",
        redirect: "manual",
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (answer.type === "opaqueredirect" || answer.status === 401) {
        over = true;
        const here = encodeURIComponent(location.pathname + location.search);
        warn("You are no longer logged in: what is shown may no longer be true.", { href: `/login?next=${here}`, textContent: "Log in" });
        return;
      }
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      takeOver(new DOMParser().parseFromString(await answer.text(), "text/html"));
      failures = 0;
      fresh = performance.now();
      unwarn();
    } catch {
      failures += 1;
      if (failures > 1) sayStale();
    } finally {
      asked = false;
      if (!document.hidden && !over) timer = setTimeout(refresh, Math.min(EVERY * 2 ** Math.max(failures - 1, 0), LONGEST));
    }
  };

  if (address) {
    timer = setTimeout(refresh, EVERY);
    document.addEventListener("visibilitychange", () => {
      clearTimeout(timer);
      if (!document.hidden) { failures = 0; refresh(); }
    });
    window.addEventListener("online", () => { failures = 0; refresh(); });
    window.addEventListener("pageshow", (event) => { if (event.persisted) refresh(); });
  }
  takeClock(document);
  tick();
  setInterval(tick, 1000);

  // -- forms ---------------------------------------------------------------------------------------

  // What was wrong is where a keyboard goes first.
  byId("faults")?.focus();

  // A second click sends nothing a second time.
  document.addEventListener("submit", (event) => {
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    if (event.target.method !== "post") return;
    event.target.dataset.sent = "yes";
    setTimeout(() => delete event.target.dataset.sent, 5000);
  });

  // Fields to be judged as they are typed: the server answers with the words, here they are only shown.
  for (const form of document.querySelectorAll("form[data-judge]")) {
    const place = byId(form.dataset.into);
    let pause = 0, running = null;
    const judge = async () => {
      const fields = new URLSearchParams(new FormData(form));
      fields.delete("csrf");
      running?.abort();
      running = new AbortController();
      try {
        const answer = await fetch(`${form.dataset.judge}?${fields}`, {
          headers: { Accept: "text/html", "Monitor-Refresh": "1" }, redirect: "manual", signal: running.signal,
        });
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        const fetched = new DOMParser().parseFromString(await answer.text(), "text/html");
        place.replaceChildren(...document.adoptNode(fetched.body).childNodes);
        say(place.querySelector("[data-said]")?.textContent ?? "");
      } catch (error) {
        if (error.name !== "AbortError") place.textContent = "Could not be judged just now; use the button Judge.";
      }
    };
    const soon = () => { clearTimeout(pause); pause = setTimeout(judge, 400); };
    form.addEventListener("input", soon);
    form.addEventListener("reset", soon);
  }

  // Long lists of boxes can be narrowed by typing; what is ticked always stays in sight.
  for (const field of document.querySelectorAll("input[data-narrows]")) {
    const list = byId(field.dataset.narrows);
    field.closest("[hidden]")?.removeAttribute("hidden");
    field.addEventListener("input", (event) => {
      event.stopPropagation();
      const wanted = field.value.trim().toLowerCase();
      for (const item of list.children)
        item.hidden = Boolean(wanted) && !item.textContent.toLowerCase().includes(wanted) && !item.querySelector("input:checked");
    });
  }

  // Texts to be pasted elsewhere.
  const offerCopies = () => {
    if (!navigator.clipboard) return;
    for (const button of document.querySelectorAll("button[data-copies]")) button.hidden = false;
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("button[data-copies]");
    if (!button) return;
    await navigator.clipboard.writeText(byId(button.dataset.copies).textContent);
    say("Copied");
  });
  document.addEventListener("monitor:fresh", offerCopies);
  offerCopies();

  // A link to a step opens it.
  const unfold = () => {
    const place = location.hash && byId(decodeURIComponent(location.hash.slice(1)));
    if (place && place.localName === "details") place.open = true;
  };
  window.addEventListener("hashchange", unfold);
  unfold();
})();
