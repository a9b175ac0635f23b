-- The id of this database's cluster marks what belongs to it elsewhere, such as a bucket.
create table cluster (
    one integer not null primary key check (one = 1),
    id text not null
) strict;
insert into cluster values (1, lower(hex(randomblob(16))));
