-- depends: 0068-configs-add_copied_from_config_id
-- A session whose owner_user_id changes, by whatever statement, no longer depends on the config of its former owner: it runs a copy
-- of the present version, which belongs to nobody. So nobody reads the former owner's secrets, sends them elsewhere by a change of
-- the config, or takes the agent away by deleting the original. The copy goes with its session.
set local lock_timeout = '5s';

create function sessions_keep_config() returns trigger language plpgsql as $$
declare
    kept_config_id text;
begin
    insert into configs (config_id, name, description, config_json, tags, version, copied_from_config_id)
    select
        -- a uuid of version 4 by its shape; the same for the same hand-over
        overlay(overlay(left(hash, 32) placing '4' from 13) placing '8' from 17)::uuid::text,
        name,
        description,
        config_json,
        tags,
        version,
        config_id
    from configs
    cross join encode(sha256(convert_to(concat_ws(' ', new.session_id, new.config_id, new.last_seq), 'UTF8')), 'hex') as hash
    where
        config_id = new.config_id
        and user_id <> new.owner_user_id
    returning config_id into kept_config_id;
    new.config_id := coalesce(kept_config_id, new.config_id);
    return new;
end
$$;

create trigger sessions_keep_config
before update of owner_user_id on sessions
for each row when (new.owner_user_id is distinct from old.owner_user_id) execute function sessions_keep_config();

create function sessions_drop_config() returns trigger language plpgsql as $$
begin
    delete from configs as c
    where
        c.config_id = old.config_id
        and c.copied_from_config_id is not null
        and not exists (
            select
            from sessions
            where config_id = old.config_id
        );
    return null;
end
$$;

create trigger sessions_drop_config after delete on sessions
for each row execute function sessions_drop_config();
