use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

type TestQueue = Queue<&'static str, u32>;

fn queue() -> Arc<TestQueue> {
    Queue::new(Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(8), jitter: 0.0 })
}

async fn next(queue: &TestQueue) -> Work<&'static str> {
    let limit = Duration::from_secs(3600);
    tokio::time::timeout(limit, queue.next()).await.expect("a key in line").unwrap()
}

async fn nothing_for(queue: &TestQueue, time: Duration) -> bool {
    tokio::time::timeout(time, queue.next()).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn a_key_is_in_line_once_and_keeps_its_causes() {
    let queue = queue();
    for cause in ["t1", "t2", "t1"] {
        queue.wake("a", Some(cause.into()));
    }
    queue.wake("b", None);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(queue.depth(), Depth { ready: 2, oldest: Duration::from_secs(3), ..Depth::default() });
    let work = next(&queue).await;
    assert_eq!((work.key, work.waited), ("a", Duration::from_secs(3)));
    assert_eq!(work.causes, ["t1", "t2"]);
    assert_eq!(next(&queue).await.key, "b");
}

#[tokio::test(start_paused = true)]
async fn causes_of_one_run_are_bounded() {
    let queue = queue();
    for number in 0..1000 {
        queue.wake("a", Some(number.to_string()));
    }
    assert_eq!(next(&queue).await.causes.len(), CAUSES_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_key_woken_while_running_runs_once_more_and_never_twice_at_a_time() {
    let queue = queue();
    queue.wake("a", None);
    let work = next(&queue).await;
    queue.wake("a", Some("t".into()));
    queue.wake("a", None);
    assert!(nothing_for(&queue, Duration::from_secs(60)).await);
    queue.finish(&work.key, Again::OnWake, &1);
    assert_eq!(next(&queue).await.causes, ["t"]);
    queue.finish(&"a", Again::OnWake, &1);
    assert!(nothing_for(&queue, Duration::from_secs(60)).await);
    assert_eq!(queue.depth(), Depth::default());
}

#[tokio::test(start_paused = true)]
async fn back_off_grows_with_failures_and_forgets_them_after_success() {
    let queue = queue();
    queue.wake("a", None);
    let mut delays = Vec::new();
    for _ in 0..6 {
        let before = Instant::now();
        let work = next(&queue).await;
        delays.push(before.elapsed().as_secs());
        queue.finish(&work.key, Again::AfterBackoff, &0);
    }
    assert_eq!(delays, [0, 1, 2, 4, 8, 8]);
    let work = next(&queue).await;
    assert_eq!(work.failures, 6);
    queue.finish(&work.key, Again::After(Duration::from_secs(5)), &0);
    let before = Instant::now();
    let work = next(&queue).await;
    assert_eq!((work.failures, before.elapsed()), (0, Duration::from_secs(5)));
}

#[tokio::test(start_paused = true)]
async fn a_wake_ends_the_back_off_but_does_not_forget_it() {
    let queue = queue();
    queue.wake("a", None);
    next(&queue).await;
    queue.finish(&"a", Again::AfterBackoff, &0);
    queue.wake("a", None);
    assert_eq!(queue.depth().delayed, 0);
    assert_eq!(next(&queue).await.failures, 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_and_wakes_itself_pauses() {
    let queue = queue();
    queue.wake("a", None);
    for _ in 0..5 {
        let work = next(&queue).await;
        queue.wake("a", None);
        queue.finish(&work.key, Again::AfterBackoff, &0);
    }
    let before = Instant::now();
    let work = next(&queue).await;
    assert_eq!(before.elapsed(), Duration::from_secs(1));
    queue.wake("a", None);
    queue.finish(&work.key, Again::AfterConflict(Duration::from_millis(500)), &0);
    let before = Instant::now();
    let work = next(&queue).await;
    assert_eq!((work.failures, before.elapsed()), (0, Duration::from_millis(500)), "a conflict pauses too");
}

#[tokio::test(start_paused = true)]
async fn a_waiter_gets_the_answer_of_a_run_that_started_after_it() {
    let queue = queue();
    queue.wake("a", None);
    let work = next(&queue).await;
    let waiting = {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move { queue.wake_and_wait("a", None).await })
    };
    tokio::task::yield_now().await;
    queue.finish(&work.key, Again::AfterBackoff, &1);
    let again = next(&queue).await;
    queue.finish(&again.key, Again::OnWake, &2);
    assert_eq!(waiting.await.unwrap(), Ok(2));
}

#[tokio::test(start_paused = true)]
async fn several_waiters_share_one_run_and_lost_ones_do_not_pile_up() {
    let queue = queue();
    for _ in 0..100 {
        let gave_up = tokio::time::timeout(Duration::from_millis(1), queue.wake_and_wait("a", None));
        assert!(gave_up.await.is_err());
    }
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.wake_and_wait("a", None).await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert!(queue.lock().waiters(&"a") <= 4);
    let work = next(&queue).await;
    queue.finish(&work.key, Again::OnWake, &7);
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), Ok(7));
    }
}

#[tokio::test(start_paused = true)]
async fn closing_ends_workers_and_answers_waiters() {
    let queue = queue();
    queue.wake("running", None);
    next(&queue).await;
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.next().await.is_none() })
        })
        .collect();
    tokio::task::yield_now().await;
    queue.close();
    for worker in workers {
        assert!(worker.await.unwrap());
    }
    assert_eq!(queue.wake_and_wait("b", None).await, Err(Closed));
    queue.finish(&"running", Again::AfterBackoff, &0);
    assert_eq!(queue.depth(), Depth::default());
}

#[tokio::test(start_paused = true)]
async fn a_run_in_progress_still_answers_after_closing_unless_abandoned() {
    for abandoned in [false, true] {
        let queue = queue();
        let waiter = {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.wake_and_wait("a", None).await })
        };
        let work = next(&queue).await;
        queue.close();
        if abandoned {
            queue.abandon();
        }
        queue.finish(&work.key, Again::OnWake, &3);
        assert_eq!(waiter.await.unwrap(), if abandoned { Err(Closed) } else { Ok(3) });
    }
}

#[tokio::test(start_paused = true)]
async fn postponed_work_keeps_everything_and_comes_up_later_or_when_woken() {
    let queue = queue();
    let waiter = {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move { queue.wake_and_wait("a", Some("t1".into())).await })
    };
    let before = Instant::now();
    let work = next(&queue).await;
    queue.postpone(work, Duration::from_secs(2));
    let work = next(&queue).await;
    assert_eq!((before.elapsed(), &work.causes[..]), (Duration::from_secs(2), &["t1".to_owned()][..]));
    queue.postpone(work, Duration::from_secs(2));
    queue.wake("a", Some("t2".into()));
    let work = next(&queue).await;
    assert_eq!((before.elapsed(), work.causes.len()), (Duration::from_secs(2), 2));
    queue.finish(&work.key, Again::OnWake, &5);
    assert_eq!(waiter.await.unwrap(), Ok(5));
    assert_eq!(queue.depth(), Depth::default());
}

/// What a test does to the queue; keys are 0 to 3.
#[derive(Clone, Debug)]
enum Step {
    Wake(u8),
    Take,
    Finish(u8, u8),
    Pass(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_u8).prop_map(Step::Wake),
        Just(Step::Take),
        (0..4_u8, 0..3_u8).prop_map(|(key, how)| Step::Finish(key, how)),
        (0..5_u8).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever happens: no key runs twice at a time, and a woken key runs after its wake.
    #[test]
    fn nothing_is_lost_and_nothing_doubled(steps in proptest::collection::vec(step(), 1..200)) {
        let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(2), jitter: 0.0 };
        let mut state = State::<u8, ()>::default();
        let mut now = Instant::now();
        let mut running = HashMap::new();
        let mut owed = HashMap::<u8, bool>::new();
        for step in steps {
            match step {
                Step::Wake(key) => {
                    state.wake(key, None, now);
                    owed.insert(key, true);
                }
                Step::Take => {
                    if let Taken::Work(work, _) = state.take(now) {
                        prop_assert!(running.insert(work.key, ()).is_none(), "key {} runs twice", work.key);
                        owed.insert(work.key, false);
                    }
                }
                Step::Finish(key, how) => {
                    let again = match how {
                        0 => Again::OnWake,
                        1 => Again::After(Duration::from_secs(1)),
                        _ => Again::AfterBackoff,
                    };
                    if running.remove(&key).is_some() {
                        state.finish(&key, again, &(), &backoff, 0.0, now);
                    }
                }
                Step::Pass(seconds) => now += Duration::from_secs(seconds.into()),
            }
        }
        for key in running.into_keys().collect::<Vec<_>>() {
            state.finish(&key, Again::OnWake, &(), &backoff, 0.0, now);
        }
        now += Duration::from_secs(10);
        while let Taken::Work(work, _) = state.take(now) {
            owed.insert(work.key, false);
            state.finish(&work.key, Again::OnWake, &(), &backoff, 0.0, now);
        }
        prop_assert!(owed.values().all(|owed| !owed), "owed: {owed:?}");
        prop_assert_eq!(state.depth(now), Depth::default());
    }
}
