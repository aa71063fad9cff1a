set local lock_timeout = '5s';

create or replace function messages_set_search() returns trigger language plpgsql as $$
declare
    language text := coalesce(
        (
            select search_language(s.search_language)
            from sessions as s
            where
                s.session_id = new.session_id
                and s.search_language is not null
        ),
        search_default_language()
    );
    written text := new.message::text;
begin
    new.search := message_search(new.message, language::regconfig);
    -- what exceeds the first 100,000 characters, and words of more than 2,046 bytes, are in no tsvector
    new.search_truncated := (octet_length(written) > 100000 or written ~ '\S{255}\S{255}') and exists (
        select
        from message_texts(new.message) as t
        cross join lateral concat_ws(' ', t.said, t.called, t.returned, t.thought) as text
        where
            length(concat(t.said, t.called, t.returned, t.thought)) > 100000
            or exists (
                select
                from ts_parse('default', search_plain(left(text, 100003)))
                where
                    tokid <> 12
                    and octet_length(token) > 2046
            )
    );
    new.search_revision := search_revision(language);
    return new;
end
$$;
