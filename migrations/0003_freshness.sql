-- How stale each feed and resource is, and why, in one look: `select * from replicator.freshness`.

create view replicator.freshness as
select
    r.feed,
    r.resource,
    r.complete_through_at,
    clock_timestamp() - r.complete_through_at as stale_for,
    r.last_success_at,
    r.last_attempt_at,
    r.watermark_at,
    r.initial_download_completed_at,
    r.last_sweep_completed_at,
    r.rows_held as rows,
    download.walk_began_at as download_began_at,
    download.updated_at as download_progress_at,
    download.walk_records as download_processed,
    download.walk_expected as download_expected,
    plan.refusal as plan_refusal,
    r.off_at,
    r.off_reason,
    f.blocked_at,
    f.blocked_reason,
    f.paused_at,
    f.paused_by,
    f.clock_skew_seconds,
    l.holder,
    case
        when f.paused_at is not null then
            format('paused by %s at %s', f.paused_by, to_char(f.paused_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'))
        when f.blocked_at is not null then 'feed blocked: ' || f.blocked_reason
        when r.off_at is not null then 'turned off: ' || r.off_reason
        when l.holder is null then 'no replicator holds the feed'
        when failing.failures > 0 then
            format('%s failed %s times in a row: %s', failing.job, failing.failures,
                   coalesce(last_run.message, last_run.reason, 'no message was kept'))
        when r.initial_download_completed_at is null and download.walk_began_at is null
            then 'the first download has not begun'
        when r.initial_download_completed_at is null then
            format('first download under way: %s of %s records', download.walk_records,
                   coalesce(download.walk_expected::text, 'an unknown number of'))
        else 'in step'
    end as why
from replicator.resource r
join replicator.feed f on f.feed = r.feed
left join replicator.lease l on l.feed = r.feed and l.expires_at > clock_timestamp()
left join replicator.purge_plan plan on plan.feed = r.feed and plan.resource = r.resource and plan.state = 'open'
    and (plan.approval_expires_at is null or plan.approval_expires_at <= clock_timestamp())
left join lateral (
    select c.walk_began_at, c.updated_at, c.walk_records, c.walk_expected
    from replicator.checkpoint c
    where c.feed = r.feed and c.resource = r.resource and c.job in ('initial_download', 'resync', 'lookups')
      and c.walk_began_at is not null
    order by c.walk_began_at desc
    limit 1
) download on true
left join lateral (
    select c.job, c.failures
    from replicator.checkpoint c
    where c.feed = r.feed and c.resource = r.resource and c.failures > 0
      and c.job in ('initial_download', 'update', 'lookups', 'resync')
    order by c.failures desc
    limit 1
) failing on true
left join lateral (
    select j.reason, j.message
    from replicator.job_run j
    where j.feed = r.feed and j.resource = r.resource and j.job = failing.job
      and j.outcome in ('failed', 'refused') and failing.failures > 0
    order by j.began_at desc
    limit 1
) last_run on true
where r.configured;

comment on view replicator.freshness is 'How stale each feed and resource is, and why. stale_for is the age of complete_through_at; the rest are moments.';
