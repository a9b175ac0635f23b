-- damaged: 1 if the last check found other bytes in the blob store. checked: time of that check, or of the commit.

alter table blob add column damaged integer not null default 0;
alter table blob add column checked integer not null default 0;
update blob set checked = touched;
create index blob_check on blob (damaged, checked) where state = 'live';
