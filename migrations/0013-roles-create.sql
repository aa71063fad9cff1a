-- depends: 0012-session_participants-index_activity
-- Two roles that own nothing and can change no schema: the service works as amplifier_app, analysts read views as
-- amplifier_readonly. Logins become members: `grant amplifier_app to ...`. Roles belong to the whole server, so they may exist
-- already, from another database or from an administrator. Transcripts and events are only ever added to.
set local lock_timeout = '5s';

do $$
declare
    wanted text;
begin
    foreach wanted in array array['amplifier_app', 'amplifier_readonly'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin', wanted);
            exception
                when duplicate_object or unique_violation then null; -- another database's migration was faster
            end;
        end if;
    end loop;

    -- whoever migrates may also serve; since PostgreSQL 16 a role's maker is a member that may not `set role`
    wanted := case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end;
    if not pg_has_role(current_user, 'amplifier_app', wanted) then
        begin
            execute format('grant amplifier_app to %I', current_user);
        exception
            when insufficient_privilege then raise notice '% is no member of amplifier_app and cannot serve', current_user;
        end;
    end if;
end
$$;

grant usage on schema public to amplifier_app, amplifier_readonly;

grant select, insert, update, delete
on applications, configs, sessions, session_participants, configuration
to amplifier_app;

grant select, insert, update on users, session_invitations to amplifier_app;

grant select, insert on messages, session_events to amplifier_app;

-- `serve` looks whether the schema is up to date
grant select on _yoyo_migration to amplifier_app;

grant select on session_transcripts to amplifier_readonly;
