set local lock_timeout = '5s';

create function count_messages_for_earlier_release() returns trigger language plpgsql as $$
begin
    update sessions as s
    set messages_total = s.messages_total + a.messages
    from (
        select
            session_id,
            count(*) as messages
        from added
        group by session_id
    ) as a
    where s.session_id = a.session_id;
    return null;
end
$$;

create trigger messages_count_for_earlier_release after insert on messages
referencing new table as added
for each statement when (
    current_user = 'amplifier_app'
    and current_setting('amplifier.counts_messages', true) is distinct from 'on'
) execute function count_messages_for_earlier_release();

comment on function count_messages_for_earlier_release is 'Trigger: counts messages in sessions.messages_total that processes of an earlier release added';
