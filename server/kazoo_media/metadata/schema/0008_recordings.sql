-- Recordings are listed by time.
create index media_recorded on media (account, created, id) where deleted_at is null and recorded = 1;
