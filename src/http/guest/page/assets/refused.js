// The start of a link, as the viewer writes times; and the page again when it has come.
const when = document.getElementById("when");
const start = new Date(when.dateTime);
if (when.dateTime && !Number.isNaN(start.getTime())) {
  const locale = document.documentElement.lang;
  when.textContent = start.toLocaleString(locale, { dateStyle: "full", timeStyle: "short" });
  const wait = start.getTime() - Date.now();
  if (wait < 86_400_000) setTimeout(() => location.reload(), Math.max(wait, 0) + 2000 + Math.random() * 3000);
}
