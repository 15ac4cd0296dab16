//! This part of the loop takes the lease and restores the state, and renews the lease.

use std::thread;
use std::time::{Duration, Instant};

use super::snapshots::Stored;
use super::{CLAIM_EVERY, Held, Run};
use crate::analyze::MAX_LABELS;
use crate::analyze::fold::Fold;
use crate::analyze::refetch::refetch;
use crate::analyze::report::AnalyzeEvent;
use crate::analyze::restore::{self, Read};
use crate::analyze::scorer::{Scorer, unusable};
use crate::consume::{Warning, WarningKind};
use crate::error::Result;
use crate::postgres::analysis::{Lease, Scoring};

/// Interval at which the lease is renewed while nothing is committed.
const RENEW_EVERY: Duration = Duration::from_secs(2);

impl Run<'_, '_> {
    /// Takes the lease and restores the state. Returns false if another run has the lease, or after a stop.
    pub(super) fn claim(&mut self) -> Result<bool> {
        let bounds = (self.config.cards, self.config.merchants);
        let Some(claimed) = self.ask(async |store| store.claim(bounds).await)? else { return Ok(false) };
        let Some(lease) = claimed else {
            if !std::mem::replace(&mut self.is_standby, true) {
                self.observers.report(&AnalyzeEvent::Standby);
            }
            return Ok(false);
        };
        self.is_standby = false;
        self.since.get_or_insert_with(Instant::now);
        if let Some(model) = self.model.take() {
            let Some(Some(_)) = self.ask(async |store| store.activate(lease.epoch, &model).await)? else {
                self.model = Some(model);
                return Ok(false);
            };
        }
        let Some((scoring, scorer, shadow)) = self.scorers()? else { return Ok(false) };
        self.observers.report(&AnalyzeEvent::Leased { seq: lease.seq, model: scorer.name().to_owned() });
        let Some(held) = self.restore(&lease, scoring, (scorer, shadow))? else { return Ok(false) };
        self.held = Some(held);
        self.watch_windows(true)?;
        self.watch_alerts(true)?;
        Ok(self.held.is_some())
    }

    /// Returns the names of the models that score, and what scores by them. Without an active model, or if it cannot be
    /// used, the rules score. Returns None after a stop.
    pub(super) fn scorers(&mut self) -> Result<Option<(Scoring, Scorer, Option<Scorer>)>> {
        let Some((scoring, files)) = self.ask(async |store| store.scoring().await)? else { return Ok(None) };
        let mut scorer_of = |name: &Option<String>, is_active| {
            let (name, text) = files.iter().find(|(one, _)| Some(one) == name.as_ref())?;
            let warning = |error| Warning::new(WarningKind::ModelUnusable, unusable(name, is_active, &error));
            Scorer::of(name.clone(), text).map_err(|error| self.warn(Some(warning(error)))).ok()
        };
        let active = scorer_of(&scoring.active, true).unwrap_or(Scorer::Rules);
        let shadow = scorer_of(&scoring.shadow, false);
        Ok(Some((scoring, active, shadow)))
    }

    pub(super) fn restore(
        &mut self,
        lease: &Lease,
        scoring: Scoring,
        scorers: (Scorer, Option<Scorer>),
    ) -> Result<Option<Held>> {
        let began = Instant::now();
        let Some(parts) = self.ask(async |store| store.state().await)? else { return Ok(None) };
        let mut state = restore::written((self.config.cards, self.config.merchants), &parts);
        let after = state.resumes_after() as i64;
        // A part at a time, and the lease is renewed with each: it would expire while a large state is restored, and two
        // runs would take it from each other forever.
        for (after, to) in restore::parts(after, lease.seq) {
            let Some(read) = self.read_again(lease.epoch, after, to)? else { return Ok(None) };
            read.fold(&mut state);
        }
        let folded = lease.seq - after;
        let Some(waiting) = self.ask(async |store| store.waiting_labels(None, MAX_LABELS).await)? else {
            return Ok(None);
        };
        let Some(relabelled) = self.ask(async |store| store.relabelled().await)? else { return Ok(None) };
        let Some(greatest_id) = self.ask(async |store| store.greatest_id().await)? else { return Ok(None) };
        if lease.seq > 0 {
            self.observers.report(&AnalyzeEvent::Restored { folded, took: began.elapsed() });
        }
        Ok(Some(Held {
            epoch: lease.epoch,
            number: lease.batch,
            scoring,
            fold: Fold::new(state, lease, waiting, relabelled, scorers, self.config.explain),
            late: lease.late,
            greatest_id,
            committed: Vec::new(),
            has_labels: false,
            opened: None,
            renewed: Instant::now(),
            snapshot: None,
            stored: Stored::default(),
            sent: None,
            is_outdated: false,
            verdicts: Vec::new(),
            has_verdicts: false,
        }))
    }

    /// Reads what was folded after one place, up to another: transactions from `orders`, or from Kafka if the consumer has
    /// not stored them. Waits until all of them are found. Returns None after a stop, or if another run has taken the lease.
    fn read_again(&mut self, epoch: i64, after: i64, to: i64) -> Result<Option<Read>> {
        let mut has_warned = false;
        while !self.stop.is_cancelled() {
            let Some(read) = self.ask(async |store| restore::read(store, epoch, after, to).await)? else { break };
            let Some(mut read) = read else {
                self.lose();
                break;
            };
            if read.missing.is_empty() {
                return Ok(Some(read));
            }
            let missing = std::mem::take(&mut read.missing);
            let wanted = missing.len();
            let found = refetch(self.config, missing)?;
            let missing = wanted - found.len();
            if missing == 0 {
                read.add(found);
                return Ok(Some(read));
            }
            if !std::mem::replace(&mut has_warned, true) {
                let text = format!(
                    "{missing} scored transactions, from which the state is restored, are not in the table orders and could \
                     not be read from the topic. Waiting until the consumer has stored them. Start the consumer if it is not running"
                );
                self.warn(Some(Warning::new(WarningKind::OrdersBehind, text)));
            }
            thread::park_timeout(CLAIM_EVERY);
        }
        Ok(None)
    }

    /// Renews the lease if nothing was committed for a while.
    pub(super) fn renew(&mut self) -> Result<()> {
        let Some(held) = self.held.as_mut().filter(|held| held.renewed.elapsed() >= RENEW_EVERY) else {
            return Ok(());
        };
        held.renewed = Instant::now();
        let epoch = held.epoch;
        let renewed = self.ask(async |store| store.renew(epoch).await)?;
        // The batch before may have been refused for the same reason.
        if renewed == Some(false) && self.held.is_some() {
            self.lose();
        }
        Ok(())
    }
}
