alter table blob add column codec text;
alter table blob add column loudness_lufs real;
alter table blob add column peak_dbfs real;
alter table blob add column clipped_samples integer;

-- Apart from the blob's row, which every read of a media joins: it is some thousand bytes.
create table peaks (
    account text not null,
    key text not null,
    pairs blob not null,        -- int8: lowest and highest sample in turn
    primary key (account, key)
);
