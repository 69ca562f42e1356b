//! Who may do what, through the real server.

mod matrix;
mod people;
mod person;
