//! The README's code, which is compiled and run as a documentation test.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
