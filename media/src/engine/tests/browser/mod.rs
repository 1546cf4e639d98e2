//! Browsers: nominated, keyed, heard, moved, lost; and what strangers do to them.

mod calls;
mod guest;
mod model;
