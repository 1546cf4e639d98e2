// Only browsers without modules read this.
document.getElementById("old").hidden = false;
document.getElementById("setup").hidden = true;
document.getElementById("status").hidden = true;
