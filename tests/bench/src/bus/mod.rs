//! The bus beside `nats bench`, in turn on one server: file storage, one copy, each write synced.

mod natscli;
mod ours;

use mlp_harness::{NatsOptions, NatsServer};

use crate::Error;
use crate::percentile::median;
use crate::report::{Row, Target};

/// Bytes of a message's body.
const PAYLOAD: usize = 512;
/// Bound of each stream in bytes, so that the servers' reservations fit a small disk.
const STREAM_BYTES: i64 = 96 * 1024 * 1024;
/// How often each side is measured; the median counts.
const ROUNDS: usize = 3;
/// Concurrent publishers and messages of all together.
const LOADS: [(usize, usize); 2] = [(1, 3_000), (8, 8_000)];

pub(crate) async fn run() -> Result<Vec<Row>, Error> {
    let tool = natscli::find().await?;
    let server = NatsServer::start(NatsOptions::default()).await?;
    let bus = ours::connect(&server.url()).await?;
    let mut rows = Vec::new();
    for (publishers, messages) in LOADS {
        let (mut theirs, mut published, mut handled) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            theirs.push(natscli::publish_sync(&tool, &server.url(), publishers, messages).await?);
            let rates = ours::throughput(&bus, publishers, messages).await?;
            published.push(rates.published);
            handled.push(rates.handled);
        }
        let (theirs, published, handled) = (median(theirs), median(published), median(handled));
        let with =
            if publishers == 1 { "1 publisher".to_owned() } else { format!("{publishers} publishers") };
        rows.push(Row::new(format!("nats bench js pub sync, {with}"), theirs, "msg/s"));
        rows.push(Row::new(format!("ours, published, {with}"), published, "msg/s"));
        rows.push(Row::new(format!("ours, published and handled, {with}"), handled, "msg/s"));
        let share = Row::new(format!("ours to nats bench, {with}"), 100.0 * handled / theirs, "%");
        rows.push(share.against(Target::AtLeast(50.0)));
    }
    let added = ours::latency(&bus).await?;
    rows.push(Row::new("acknowledged to handler called, p50", added.percentile(50), "ms"));
    let p99 = Row::new("acknowledged to handler called, p99", added.percentile(99), "ms");
    rows.push(p99.against(Target::AtMost(5.0)));
    Ok(rows)
}
