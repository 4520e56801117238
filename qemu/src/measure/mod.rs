//! Boot and HTTP measurement.
