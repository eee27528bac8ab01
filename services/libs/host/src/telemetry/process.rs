//! What the process says about itself.

use opentelemetry::metrics::Meter;

/// Registers `process.memory.usage`, read from the kernel whenever a reader collects.
pub(super) fn observe(meter: &Meter) {
    // The provider keeps the callback; the handle itself has no further use.
    let _ = meter
        .i64_observable_up_down_counter("process.memory.usage")
        .with_unit("By")
        .with_description("Resident memory of the process")
        .with_callback(|observer| {
            if let Some(bytes) = resident_bytes() {
                observer.observe(bytes, &[]);
            }
        })
        .build();
}

/// `VmRSS` of this process; `None` where the kernel has no `/proc`.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    kibibytes.checked_mul(1_024)
}
