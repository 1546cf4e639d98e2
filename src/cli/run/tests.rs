//! The command line through its library functions.
