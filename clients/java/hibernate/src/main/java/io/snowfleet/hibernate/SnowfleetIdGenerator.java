package io.snowfleet.hibernate;

import io.snowfleet.client.SnowfleetClient;
import io.snowfleet.client.SnowfleetException;
import io.snowfleet.client.SnowfleetId;
import java.lang.reflect.Field;
import java.lang.reflect.Member;
import java.lang.reflect.Method;
import java.util.EnumSet;
import java.util.Map;
import java.util.WeakHashMap;
import org.hibernate.AnnotationException;
import org.hibernate.HibernateException;
import org.hibernate.SessionFactory;
import org.hibernate.SessionFactoryObserver;
import org.hibernate.engine.spi.SessionFactoryImplementor;
import org.hibernate.engine.spi.SharedSessionContractImplementor;
import org.hibernate.generator.AnnotationBasedGenerator;
import org.hibernate.generator.BeforeExecutionGenerator;
import org.hibernate.generator.EventType;
import org.hibernate.generator.EventTypeSets;
import org.hibernate.generator.GeneratorCreationContext;

/** What {@link SnowfleetGenerated} stands for. */
public class SnowfleetIdGenerator implements BeforeExecutionGenerator, AnnotationBasedGenerator<SnowfleetGenerated> {
    private static final long serialVersionUID = 1;
    /** The setting with a {@link SnowfleetClient}, which stays the program's. */
    public static final String CLIENT = "snowfleet.client";
    /** The setting with the fleet's addresses: each session factory has one client of them, and closes it at its end. */
    public static final String SERVERS = "snowfleet.servers";

    private static final Map<SessionFactory, SnowfleetClient> MADE = new WeakHashMap<>();

    private boolean text;

    @Override
    public void initialize(SnowfleetGenerated annotation, Member member, GeneratorCreationContext context) {
        Class<?> type = member instanceof Field field ? field.getType() : ((Method) member).getReturnType();
        text = type == String.class;
        if (!text && type != long.class && type != Long.class) {
            throw new AnnotationException("@SnowfleetGenerated: " + member.getDeclaringClass().getName() + "." + member.getName() + " is a " + type.getName()
                + "; long, Long and String are allowed");
        }
    }

    @Override
    public EnumSet<EventType> getEventTypes() {
        return EventTypeSets.INSERT_ONLY;
    }

    @Override
    public Object generate(SharedSessionContractImplementor session, Object owner, Object currentValue, EventType eventType) {
        try {
            long id = client(session.getFactory()).next();
            return text ? (Object) SnowfleetId.toBase32(id) : (Object) id;
        } catch (SnowfleetException e) {
            throw new HibernateException("no identifier from Snowfleet: " + e.getMessage(), e);
        }
    }

    private static SnowfleetClient client(SessionFactoryImplementor factory) {
        if (factory.getProperties().get(CLIENT) instanceof SnowfleetClient given) {
            return given;
        }
        synchronized (MADE) {
            SnowfleetClient made = MADE.get(factory);
            if (made == null) {
                Object servers = factory.getProperties().get(SERVERS);
                if (servers == null) {
                    throw new HibernateException("@SnowfleetGenerated: neither " + SERVERS + " (\"ids-0:7450,ids-1:7450\") nor " + CLIENT + " is set");
                }
                made = new SnowfleetClient(servers.toString());
                MADE.put(factory, made);
                factory.addObserver(new Closer());
            }
            return made;
        }
    }

    private static final class Closer implements SessionFactoryObserver {
        private static final long serialVersionUID = 1;

        @Override
        public void sessionFactoryClosed(SessionFactory factory) {
            SnowfleetClient made;
            synchronized (MADE) {
                made = MADE.remove(factory);
            }
            if (made != null) {
                made.close();
            }
        }
    }
}
