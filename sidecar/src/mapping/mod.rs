//! Turns samples into views.
