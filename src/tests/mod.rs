//! Tests of whole steps, on both engines.
