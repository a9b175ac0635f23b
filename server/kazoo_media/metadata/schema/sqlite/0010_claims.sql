-- What one of the nodes does at a time; a claim that has expired is anybody's.
create table claim (
    name text primary key,
    holder text not null,
    expires integer not null
) strict, without rowid;
