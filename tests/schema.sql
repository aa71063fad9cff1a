CREATE FUNCTION public.announce_application() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    perform pg_notify('amplifier', 'application ' || old.app_id);
    return null;
end
$$;
CREATE FUNCTION public.set_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    new.updated_at := clock_timestamp();
    return new;
end
$$;
CREATE TABLE public.applications (
    app_id character varying(100) NOT NULL COLLATE pg_catalog."C",
    app_name character varying(255) NOT NULL,
    api_key_hash text NOT NULL,
    api_key_prefix text NOT NULL COLLATE pg_catalog."C",
    is_active boolean DEFAULT true NOT NULL,
    is_admin boolean DEFAULT false NOT NULL,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT applications_api_key_hash_check CHECK ((api_key_hash ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT applications_app_id_check CHECK (((app_id)::text ~ '^[a-z0-9-]+$'::text)),
    CONSTRAINT applications_app_name_check CHECK (((app_name)::text <> ''::text)),
    CONSTRAINT applications_settings_check CHECK ((jsonb_typeof(settings) = 'object'::text)),
    CONSTRAINT applications_settings_depth_check CHECK ((NOT (settings @? '$.**{64}'::jsonpath)))
);
CREATE TABLE public.configs (
    config_id text NOT NULL COLLATE pg_catalog."C",
    name character varying(255) NOT NULL,
    description text,
    config_json jsonb NOT NULL,
    user_id text COLLATE pg_catalog."C",
    tags jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT configs_config_json_check CHECK ((jsonb_typeof(config_json) = 'object'::text)),
    CONSTRAINT configs_config_json_depth_check CHECK ((NOT (config_json @? '$.**{64}'::jsonpath))),
    CONSTRAINT configs_name_check CHECK (((name)::text <> ''::text)),
    CONSTRAINT configs_tags_check CHECK ((jsonb_typeof(tags) = 'object'::text))
);
CREATE TABLE public.configuration (
    key text NOT NULL COLLATE pg_catalog."C",
    value jsonb NOT NULL,
    scope text DEFAULT 'global'::text NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT configuration_key_check CHECK (((length(key) >= 1) AND (length(key) <= 255))),
    CONSTRAINT configuration_scope_check CHECK (((length(scope) >= 1) AND (length(scope) <= 100))),
    CONSTRAINT configuration_value_depth_check CHECK ((NOT (value @? '$.**{64}'::jsonpath)))
);
CREATE TABLE public.messages (
    session_id text NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    message jsonb NOT NULL,
    role text GENERATED ALWAYS AS ((message ->> 'role'::text)) STORED,
    size integer GENERATED ALWAYS AS (octet_length((message)::text)) STORED,
    author_user_id text NOT NULL COLLATE pg_catalog."C",
    author_app_id text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT messages_message_check CHECK ((jsonb_typeof(message) = 'object'::text)),
    CONSTRAINT messages_message_depth_check CHECK ((NOT (message @? '$.**{64}'::jsonpath))),
    CONSTRAINT messages_role_check CHECK (((role IS NOT NULL) AND (role = ANY (ARRAY['system'::text, 'developer'::text, 'user'::text, 'assistant'::text, 'function'::text, 'tool'::text])))),
    CONSTRAINT messages_seq_check CHECK ((seq > 0)),
    CONSTRAINT messages_size_check CHECK ((size <= 16777216))
);
CREATE TABLE public.session_events (
    session_id text NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    type text NOT NULL COLLATE pg_catalog."C",
    data jsonb DEFAULT '{}'::jsonb NOT NULL,
    actor_user_id text COLLATE pg_catalog."C",
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT session_events_data_check CHECK ((jsonb_typeof(data) = 'object'::text)),
    CONSTRAINT session_events_seq_check CHECK ((seq > 0)),
    CONSTRAINT session_events_type_check CHECK ((type ~ '^[a-z_]+[.][a-z_]+$'::text))
);
CREATE TABLE public.session_invitations (
    session_id text NOT NULL COLLATE pg_catalog."C",
    invitation_id text NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    token_hash text NOT NULL COLLATE pg_catalog."C",
    role text NOT NULL,
    max_uses integer NOT NULL,
    uses integer DEFAULT 0 NOT NULL,
    created_by_user_id text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT session_invitations_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'editor'::text, 'viewer'::text]))),
    CONSTRAINT session_invitations_token_hash_check CHECK ((token_hash ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT session_invitations_uses_check CHECK (((uses >= 0) AND (uses <= max_uses)))
);
CREATE TABLE public.session_participants (
    session_id text NOT NULL COLLATE pg_catalog."C",
    user_id text NOT NULL COLLATE pg_catalog."C",
    role text NOT NULL,
    joined_at timestamp with time zone DEFAULT now() NOT NULL,
    last_active_at timestamp with time zone DEFAULT now() NOT NULL,
    permissions jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT session_participants_permissions_check CHECK ((jsonb_typeof(permissions) = 'object'::text)),
    CONSTRAINT session_participants_permissions_keys_check CHECK ((((permissions - ARRAY['send'::text, 'cancel'::text, 'invite'::text, 'export'::text]) = '{}'::jsonb) AND (NOT (permissions @? 'strict $.*?(@.type() != "boolean")'::jsonpath)))),
    CONSTRAINT session_participants_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'editor'::text, 'viewer'::text]))),
    CONSTRAINT session_participants_user_id_check CHECK (((length(user_id) >= 1) AND (length(user_id) <= 255)))
);
CREATE TABLE public.sessions (
    session_id text NOT NULL COLLATE pg_catalog."C",
    config_id text NOT NULL COLLATE pg_catalog."C",
    owner_user_id text NOT NULL COLLATE pg_catalog."C",
    created_by_app_id text NOT NULL COLLATE pg_catalog."C",
    last_accessed_by_app_id text COLLATE pg_catalog."C",
    last_accessed_at timestamp with time zone,
    status text DEFAULT 'active'::text NOT NULL,
    title text,
    tags jsonb DEFAULT '{}'::jsonb NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    message_count integer DEFAULT 0 NOT NULL,
    last_seq bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT sessions_last_seq_check CHECK ((last_seq >= 0)),
    CONSTRAINT sessions_message_count_check CHECK ((message_count >= 0)),
    CONSTRAINT sessions_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT sessions_metadata_depth_check CHECK ((NOT (metadata @? '$.**{64}'::jsonpath))),
    CONSTRAINT sessions_status_check CHECK ((status = ANY (ARRAY['active'::text, 'completed'::text, 'failed'::text, 'cancelled'::text]))),
    CONSTRAINT sessions_tags_check CHECK ((jsonb_typeof(tags) = 'object'::text)),
    CONSTRAINT sessions_title_check CHECK ((length(title) <= 255))
)
WITH (fillfactor='80');
CREATE VIEW public.session_transcripts AS
 SELECT session_id,
    last_seq,
    COALESCE(( SELECT jsonb_agg(messages.message ORDER BY messages.seq) AS jsonb_agg
           FROM public.messages
          WHERE (messages.session_id = sessions.session_id)), '[]'::jsonb) AS transcript
   FROM public.sessions;
CREATE TABLE public.users (
    user_id text NOT NULL COLLATE pg_catalog."C",
    first_seen timestamp with time zone DEFAULT now() NOT NULL,
    last_seen timestamp with time zone DEFAULT now() NOT NULL,
    last_seen_app_id text COLLATE pg_catalog."C",
    total_sessions integer DEFAULT 0 NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT users_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT users_total_sessions_check CHECK ((total_sessions >= 0)),
    CONSTRAINT users_user_id_check CHECK (((length(user_id) >= 1) AND (length(user_id) <= 255)))
);
ALTER TABLE ONLY public.applications
    ADD CONSTRAINT applications_api_key_prefix_key UNIQUE (api_key_prefix);
ALTER TABLE ONLY public.applications
    ADD CONSTRAINT applications_pkey PRIMARY KEY (app_id);
ALTER TABLE ONLY public.configs
    ADD CONSTRAINT configs_pkey PRIMARY KEY (config_id);
ALTER TABLE ONLY public.configuration
    ADD CONSTRAINT configuration_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (session_id, seq);
ALTER TABLE ONLY public.session_events
    ADD CONSTRAINT session_events_pkey PRIMARY KEY (session_id, seq);
ALTER TABLE ONLY public.session_invitations
    ADD CONSTRAINT session_invitations_pkey PRIMARY KEY (session_id, invitation_id);
ALTER TABLE ONLY public.session_invitations
    ADD CONSTRAINT session_invitations_token_hash_key UNIQUE (session_id, token_hash);
ALTER TABLE ONLY public.session_participants
    ADD CONSTRAINT session_participants_pkey PRIMARY KEY (session_id, user_id);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (session_id);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (user_id);
CREATE INDEX applications_settings_idx ON public.applications USING gin (settings jsonb_path_ops);
CREATE INDEX configs_config_json_idx ON public.configs USING gin (config_json jsonb_path_ops);
CREATE INDEX configs_tags_idx ON public.configs USING gin (tags jsonb_path_ops);
CREATE INDEX configs_user_id_idx ON public.configs USING btree (user_id, updated_at DESC, config_id DESC);
CREATE INDEX configuration_value_idx ON public.configuration USING gin (value jsonb_path_ops);
CREATE INDEX session_participants_last_active_at_idx ON public.session_participants USING btree (user_id, last_active_at DESC, session_id DESC);
CREATE INDEX session_participants_permissions_idx ON public.session_participants USING gin (permissions jsonb_path_ops);
CREATE INDEX session_participants_user_id_idx ON public.session_participants USING btree (user_id, session_id);
CREATE INDEX sessions_config_id_idx ON public.sessions USING btree (config_id);
CREATE INDEX sessions_metadata_idx ON public.sessions USING gin (metadata jsonb_path_ops);
CREATE INDEX sessions_tags_idx ON public.sessions USING gin (tags jsonb_path_ops);
CREATE INDEX users_metadata_idx ON public.users USING gin (metadata jsonb_path_ops);
CREATE TRIGGER applications_announce AFTER DELETE OR UPDATE ON public.applications FOR EACH ROW EXECUTE FUNCTION public.announce_application();
CREATE TRIGGER applications_set_updated_at BEFORE UPDATE ON public.applications FOR EACH ROW WHEN ((NOT (new.updated_at IS DISTINCT FROM old.updated_at))) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER configs_set_updated_at BEFORE UPDATE ON public.configs FOR EACH ROW WHEN ((NOT (new.updated_at IS DISTINCT FROM old.updated_at))) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER configuration_set_updated_at BEFORE UPDATE ON public.configuration FOR EACH ROW WHEN ((NOT (new.updated_at IS DISTINCT FROM old.updated_at))) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER sessions_set_updated_at BEFORE UPDATE ON public.sessions FOR EACH ROW WHEN ((NOT (new.updated_at IS DISTINCT FROM old.updated_at))) EXECUTE FUNCTION public.set_updated_at();
ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(session_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.session_events
    ADD CONSTRAINT session_events_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(session_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.session_invitations
    ADD CONSTRAINT session_invitations_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(session_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.session_participants
    ADD CONSTRAINT session_participants_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(session_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_config_id_fkey FOREIGN KEY (config_id) REFERENCES public.configs(config_id) ON DELETE CASCADE;
GRANT USAGE ON SCHEMA public TO amplifier_app;
GRANT USAGE ON SCHEMA public TO amplifier_readonly;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.applications TO amplifier_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.configs TO amplifier_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.configuration TO amplifier_app;
GRANT SELECT,INSERT ON TABLE public.messages TO amplifier_app;
GRANT SELECT,INSERT ON TABLE public.session_events TO amplifier_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.session_invitations TO amplifier_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.session_participants TO amplifier_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.sessions TO amplifier_app;
GRANT SELECT ON TABLE public.session_transcripts TO amplifier_readonly;
GRANT SELECT,INSERT,UPDATE ON TABLE public.users TO amplifier_app;
