-- `Media` is five expansions in the native dialect, and each may be off without the others.

comment on table replicator.expansion is 'Relations that the feed has switched off (Spark 1505): they are not asked for, and what was fetched stays. Tried again after a day.';
comment on column replicator.expansion.relation is 'The relation; in the native dialect also a part of Media alone, as in FloPlans.';
