//! This module declares the tables of the analysis.

use super::super::table::{Index, OwnColumn, Table, Upgrade};

/// The table with the lease and the position of the analysis. It has one row.
pub(in crate::postgres) const ANALYSIS: Table = Table {
    name: "analysis",
    comment: "ccstream: the lease and the position of the analysis",
    columns: &[
        OwnColumn::new("id", "SMALLINT PRIMARY KEY DEFAULT 1 CHECK (id = 1)"),
        OwnColumn::new("epoch", "BIGINT NOT NULL").meaning("number of times that the lease was taken"),
        OwnColumn::new("writer", "BIGINT").meaning("random number of the run that has the lease; NULL if none has it"),
        OwnColumn::new("owner_pid", "INTEGER").meaning("process id of that run's session in PostgreSQL"),
        OwnColumn::new("owner_start", "TIMESTAMPTZ"),
        OwnColumn::new("renewed_at", "TIMESTAMPTZ NOT NULL DEFAULT now()"),
        OwnColumn::new("batch", "BIGINT NOT NULL").meaning("number of batches that were committed"),
        OwnColumn::new("seq", "BIGINT NOT NULL").meaning("last place in the order, as in scores"),
        OwnColumn::new("event_time", "TIMESTAMP").meaning("greatest time of an event so far"),
        OwnColumn::new("late", "BIGINT NOT NULL").meaning("number of events that came after a later one was scored"),
        OwnColumn::new("cards", "BIGINT").meaning("maximum number of cards in the state"),
        OwnColumn::new("merchants", "BIGINT").meaning("maximum number of merchants in the state"),
    ],
    fill: Some(|| "INSERT INTO analysis (epoch, batch, seq, late) VALUES (0, 0, 0, 0);".to_owned()),
    ..Table::USUAL
};

/// The table of offsets up to which both topics are folded.
pub(in crate::postgres) const ANALYSIS_OFFSETS: Table = Table {
    name: "analysis_offsets",
    comment: "ccstream: position of the analysis in each partition, and what became of the messages",
    columns: &[
        OwnColumn::new("topic", "TEXT NOT NULL"),
        OwnColumn::new("partition", "INTEGER NOT NULL"),
        OwnColumn::new("cluster_id", "TEXT"),
        OwnColumn::new("topic_id", "TEXT"),
        OwnColumn::new("next_offset", "BIGINT NOT NULL"),
        OwnColumn::new("accepted", "BIGINT NOT NULL")
            .meaning("number of transactions in scores, or of labels in labels"),
        OwnColumn::new("duplicate", "BIGINT NOT NULL").meaning("number of messages that were there already"),
        OwnColumn::new("rejected", "BIGINT NOT NULL").meaning("number of invalid messages"),
        OwnColumn::new("missing", "BIGINT NOT NULL")
            .meaning("number of offsets that were deleted before they were read, or cannot be read"),
        OwnColumn::new("updated_at", "TIMESTAMPTZ NOT NULL DEFAULT now()"),
    ],
    constraints: &["PRIMARY KEY (topic, partition)"],
    ..Table::USUAL
};

/// The table of scores.
pub(in crate::postgres) const SCORES: Table = Table {
    name: "scores",
    comment: "ccstream: the score of each transaction, numbered in the order in which transactions and labels were used",
    columns: &[
        OwnColumn::new("seq", "BIGINT PRIMARY KEY").meaning("place in the order, without gaps over scores and labels"),
        OwnColumn::new("order_id", "VARCHAR(50) COLLATE \"C\" NOT NULL UNIQUE").meaning("as in orders"),
        OwnColumn::new("event_time", "TIMESTAMP NOT NULL").meaning("the timestamp in orders"),
        OwnColumn::new("score", "DOUBLE PRECISION").meaning("probability of fraud, from 0 to 1; NULL if not scored"),
        OwnColumn::new("ratio", "REAL").meaning("the amount as a multiple of the card's usual amount"),
        OwnColumn::new("level", "REAL").meaning(
            "logarithm of the amount as a multiple of the merchant's usual amount; the state is restored by it",
        ),
        OwnColumn::new("tested", "SMALLINT NOT NULL")
            .meaning("number of tiny amounts at the merchant shortly before; the state is restored by it"),
        OwnColumn::new("model", "TEXT").meaning("name of the model, as in models, or rules"),
        OwnColumn::new("terminal", "BIGINT")
            .meaning("hash by which the state knows the terminal, or the merchant if it names none"),
        OwnColumn::new("kafka_partition", "INTEGER NOT NULL"),
        OwnColumn::new("kafka_offset", "BIGINT NOT NULL"),
        OwnColumn::new("card", "BIGINT").meaning("hash by which the state knows the card in its currency"),
        OwnColumn::new("reasons", "TEXT[]")
            .meaning("up to three reasons for the score, the weightiest first; NULL if the score is not high"),
        OwnColumn::new("shadow", "DOUBLE PRECISION").meaning("score by the shadow model; NULL if there was none"),
        OwnColumn::new("shadow_model", "TEXT").meaning("name of the shadow model"),
    ],
    further_indexes: &[
        Index { name: "scores_event_time", on: "scores USING brin (event_time)" },
        Index { name: "scores_high", on: "scores (seq) WHERE reasons IS NOT NULL" },
    ],
    privileges: &["SELECT", "INSERT"],
    ..Table::USUAL
};

/// The table of labels.
pub(in crate::postgres) const LABELS: Table = Table {
    name: "labels",
    comment: "ccstream: which transactions are known to be frauds or genuine; times are event times in UTC",
    columns: &[
        OwnColumn::new("transaction_id", "VARCHAR(50) COLLATE \"C\" NOT NULL").meaning("order_id in orders"),
        OwnColumn::new("source", "TEXT NOT NULL").meaning("who found out; empty if unknown"),
        OwnColumn::new("labelled_at", "TIMESTAMP NOT NULL").meaning("since when it is known"),
        OwnColumn::new("fraud", "BOOLEAN NOT NULL"),
        OwnColumn::new("seq", "BIGINT").meaning("place in the order, as in scores; NULL while it is not due"),
        OwnColumn::new("terminal", "BIGINT").meaning("terminal of the transaction, as in scores, once it is due"),
        OwnColumn::new("kafka_partition", "INTEGER NOT NULL").meaning("-1 if an analyst wrote it"),
        OwnColumn::new("kafka_offset", "BIGINT NOT NULL"),
    ],
    constraints: &["PRIMARY KEY (transaction_id, source, labelled_at)"],
    indexes: &["seq", "labelled_at", "terminal"],
    further_indexes: &[Index {
        name: "labels_of_analysts",
        on: "labels (labelled_at) WHERE kafka_partition < 0 AND seq IS NULL",
    }],
    analyst: &["SELECT", "INSERT"],
    ..Table::USUAL
};

/// Stores the state without compression, which took a sixth of PostgreSQL's time while an analyzer caught up.
const UNCOMPRESSED: Upgrade = Upgrade {
    what: "storing analysis_state without compression",
    is_needed: "SELECT attstorage <> 'e' FROM pg_attribute
                WHERE attrelid = to_regclass('analysis_state') AND attname = 'data'",
    statements: "ALTER TABLE analysis_state ALTER COLUMN data SET STORAGE EXTERNAL;",
};

/// The table that holds the state of cards and merchants.
pub(in crate::postgres) const STATE: Table = Table {
    name: "analysis_state",
    comment: "ccstream: the state of cards and merchants from which scores are computed, in parts",
    columns: &[
        OwnColumn::new("part", "INTEGER PRIMARY KEY"),
        OwnColumn::new("seq", "BIGINT NOT NULL").meaning("place in the order up to which the part is complete"),
        OwnColumn::new("data", "BYTEA NOT NULL"),
    ],
    fill: Some(|| UNCOMPRESSED.statements.to_owned()),
    upgrades: &[UNCOMPRESSED],
    privileges: &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ..Table::USUAL
};
