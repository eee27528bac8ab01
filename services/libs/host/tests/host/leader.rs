//! Leadership against a scripted Lease, in virtual time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use mlp_host::BoxError;
use mlp_host::lease::{Elector, Fencing, Leadership};

use crate::fake_api::FakeApi;

const TERM: Duration = Duration::from_secs(15);
const LONG: Duration = Duration::from_secs(300);

/// A replica that competes, and every leadership it had.
struct Replica {
    stop: CancellationToken,
    led: Arc<Mutex<Vec<Leadership>>>,
    leading: Arc<AtomicUsize>,
    task: JoinHandle<Result<(), BoxError>>,
}

impl Replica {
    fn start(api: &FakeApi, name: &str) -> Self {
        let (stop, led) = (CancellationToken::new(), Arc::new(Mutex::new(Vec::new())));
        let leading = Arc::new(AtomicUsize::new(0));
        let (log, count) = (Arc::clone(&led), Arc::clone(&leading));
        let lead = move |leadership: Leadership| {
            let (log, count) = (Arc::clone(&log), Arc::clone(&count));
            async move {
                log.lock().unwrap().push(leadership.clone());
                count.fetch_add(1, Ordering::SeqCst);
                leadership.token().cancelled().await;
                count.fetch_sub(1, Ordering::SeqCst);
            }
        };
        let elector = Elector::new(api.client(), "mlp-system", "leader", name, TERM);
        let task = tokio::spawn(elector.run(stop.clone(), lead));
        Self { stop, led, leading, task }
    }

    fn leads(&self) -> bool {
        self.leading.load(Ordering::SeqCst) == 1
    }

    fn last(&self) -> Leadership {
        self.led.lock().unwrap().last().unwrap().clone()
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

/// Waits in virtual time until `check` holds; gives how long that took.
async fn until(what: &str, check: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    let wait = async {
        while !check() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(timeout(LONG, wait).await.is_ok(), "never: {what}");
    begun.elapsed()
}

fn lease(api: &FakeApi) -> Value {
    api.state().leases["leader"]["spec"].clone()
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_renews_steadily_while_the_other_only_reads() {
    let api = FakeApi::default();
    let first = Replica::start(&api, "a");
    until("a leads", || first.leads()).await;
    let second = Replica::start(&api, "b");
    sleep(LONG).await;
    assert!(first.leads() && !second.leads());
    assert_eq!(first.led.lock().unwrap().len(), 1, "one leadership all along");
    assert_eq!(first.last().fencing(), &Fencing { transitions: 1, holder: "a".to_owned() });
    assert_eq!(lease(&api)["holderIdentity"], "a");
    // Every fifth of the term: 100 in 300 s, give or take the jitter; one creation.
    let renewals = api.count("PUT", "leases/leader");
    assert!((90..=112).contains(&renewals), "{renewals}");
    assert_eq!(api.count("POST", "leases"), 1);
    first.end().await;
    second.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_drained_leader_hands_over_at_once_and_the_number_grows() {
    let api = FakeApi::default();
    let first = Replica::start(&api, "a");
    until("a leads", || first.leads()).await;
    let second = Replica::start(&api, "b");
    let old = first.last();
    first.end().await;
    assert!(old.token().is_cancelled() && !old.is_held());
    let took = until("b leads", || second.leads()).await;
    assert!(took < TERM / 2, "handed over, not expired: {took:?}");
    assert_eq!(second.last().fencing().transitions, 2);
    second.end().await;
    assert!(lease(&api)["holderIdentity"].is_null());
    let third = Replica::start(&api, "a");
    until("a leads again", || third.leads()).await;
    assert_eq!(third.last().fencing().transitions, 3);
    third.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_crashed_leader_is_replaced_when_its_lease_expires() {
    let api = FakeApi::default();
    let first = Replica::start(&api, "a");
    until("a leads", || first.leads()).await;
    first.task.abort();
    let second = Replica::start(&api, "b");
    let took = until("b leads", || second.leads()).await;
    assert!(took >= TERM && took < TERM * 2, "{took:?}");
    assert_eq!(second.last().fencing().transitions, 2);
    second.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_restarts_under_its_name_leads_at_once_with_a_greater_number() {
    let api = FakeApi::default();
    let first = Replica::start(&api, "a");
    until("a leads", || first.leads()).await;
    first.task.abort();
    let again = Replica::start(&api, "a");
    let took = until("a leads again", || again.leads()).await;
    assert!(took < TERM / 5, "{took:?}");
    assert_eq!(again.last().fencing().transitions, 2);
    again.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_before_another_may_start() {
    let api = FakeApi::default();
    let first = Replica::start(&api, "a");
    until("a leads", || first.leads()).await;
    let held = first.last();
    api.state().broken = Some(500);
    let took = until("a stops", || !first.leads()).await;
    assert!(took < TERM, "{took:?}");
    assert!(held.token().is_cancelled() && !held.is_held());
    api.state().broken = None;
    until("a leads again", || first.leads()).await;
    assert_eq!(first.last().fencing().transitions, 2, "a new leadership, a new number");
    first.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_api_that_never_answers_ends_leadership_all_the_same() {
    let api = FakeApi::default();
    let first = Replica::start(&api, "a");
    until("a leads", || first.leads()).await;
    api.state().silent = true;
    let took = until("a stops", || !first.leads()).await;
    assert!(took < TERM, "{took:?}");
    first.task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_leader_stops_when_it_sees_another_holder() {
    let api = FakeApi::default();
    let first = Replica::start(&api, "a");
    until("a leads", || first.leads()).await;
    api.state().usurp("leader", "c");
    let took = until("a stops", || !first.leads()).await;
    assert!(took <= TERM / 4, "{took:?}");
    // The usurper never renews: its lease expires and the number goes on growing.
    until("a leads again", || first.leads()).await;
    assert_eq!(first.last().fencing().transitions, 3);
    first.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_foreign_edit_of_the_lease_does_not_end_leadership() {
    let api = FakeApi::default();
    let first = Replica::start(&api, "a");
    until("a leads", || first.leads()).await;
    {
        // A person labels the Lease: the resource version moves, the holder does not.
        let mut state = api.state();
        let lease = state.leases.get_mut("leader").unwrap();
        lease["metadata"]["resourceVersion"] = "edited".into();
    }
    sleep(TERM * 4).await;
    assert!(first.leads());
    assert_eq!(first.led.lock().unwrap().len(), 1);
    first.end().await;
    assert!(lease(&api)["holderIdentity"].is_null(), "handed over on the way out");
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_by_itself_or_fails_ends_the_elector_with_an_error() {
    for (result, expected) in
        [(Ok(()), "the leader's work ended by itself"), (Err(BoxError::from("no disk")), "no disk")]
    {
        let api = FakeApi::default();
        let result = Arc::new(Mutex::new(Some(result)));
        let elector = Elector::new(api.client(), "mlp-system", "leader", "a", TERM);
        let lead = |_| {
            let result = result.lock().unwrap().take().unwrap();
            async move { result }
        };
        let ended = timeout(LONG, elector.run(CancellationToken::new(), lead)).await.unwrap();
        assert_eq!(ended.unwrap_err().to_string(), expected);
        assert!(lease(&api)["holderIdentity"].is_null(), "the lease is free for the next");
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_candidates_one_leads_at_a_time() {
    let api = FakeApi::default();
    let mut replicas: Vec<Replica> = (0..5).map(|n| Replica::start(&api, &format!("r{n}"))).collect();
    let mut last = 0;
    while !replicas.is_empty() {
        until("one leads", || replicas.iter().any(Replica::leads)).await;
        for _ in 0..100 {
            sleep(Duration::from_millis(500)).await;
            assert_eq!(replicas.iter().filter(|replica| replica.leads()).count(), 1);
        }
        let position = replicas.iter().position(Replica::leads).unwrap();
        let leader = replicas.remove(position);
        let number = leader.last().fencing().transitions;
        assert!(number > last, "{number} after {last}");
        last = number;
        leader.end().await;
    }
}
