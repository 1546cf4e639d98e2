//! Browsers: nominated, keyed, heard, moved, lost; and what strangers do to them.

mod calls;
mod control;
mod events;
mod guest;
mod hostile;
mod model;
mod moves;
mod reach;
mod strangers;
mod ways;
