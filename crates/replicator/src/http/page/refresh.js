// Replaces the page's content every few seconds; says so when nobody answers any more.
let since = null;
setInterval(async () => {
  if (document.hidden) return;
  const offline = document.getElementById("offline");
  try {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = fresh.title;
    document.querySelector("main").replaceWith(fresh.querySelector("main"));
    offline.hidden = true;
    since = null;
  } catch {
    since ??= new Date().toLocaleTimeString();
    offline.textContent = `No answer from spark-replicator since ${since}. What stands below is older than that.`;
    offline.hidden = false;
  }
}, 5000);
