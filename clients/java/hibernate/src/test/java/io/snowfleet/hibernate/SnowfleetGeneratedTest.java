package io.snowfleet.hibernate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.snowfleet.client.SnowfleetClient;
import io.snowfleet.client.SnowfleetException;
import io.snowfleet.client.SnowfleetId;
import io.snowfleet.client.TestWorker;
import jakarta.persistence.Entity;
import jakarta.persistence.Id;
import java.util.HashSet;
import java.util.Set;
import org.hibernate.HibernateException;
import org.hibernate.SessionFactory;
import org.hibernate.cfg.Configuration;
import org.junit.jupiter.api.Test;

/** Against the real Hibernate and a real database. */
class SnowfleetGeneratedTest {
    @Entity(name = "Purchase")
    static class Purchase {
        @Id
        @SnowfleetGenerated
        Long id;
        String text;
    }

    @Entity(name = "Note")
    static class Note {
        @Id
        @SnowfleetGenerated
        String id;
    }

    @Entity(name = "Bad")
    static class Bad {
        @Id
        @SnowfleetGenerated
        Integer id;
    }

    private static Configuration configuration(Class<?>... entities) {
        Configuration made = new Configuration();
        for (Class<?> entity : entities) {
            made.addAnnotatedClass(entity);
        }
        made.setProperty("hibernate.connection.url", "jdbc:h2:mem:" + System.nanoTime());
        made.setProperty("hibernate.hbm2ddl.auto", "create");
        return made;
    }

    @Test
    void identifiersComeFromTheFleet() throws Exception {
        try (TestWorker worker = new TestWorker()) {
            Configuration made = configuration(Purchase.class, Note.class);
            made.setProperty(SnowfleetIdGenerator.SERVERS, worker.address());
            try (SessionFactory factory = made.buildSessionFactory()) {
                Set<Long> seen = new HashSet<>();
                factory.inTransaction(session -> {
                    for (int i = 0; i < 20; i++) {
                        Purchase each = new Purchase();
                        each.text = "purchase " + i;
                        session.persist(each);
                        assertTrue(seen.add(each.id) && each.id > 5L << 40);
                    }
                    Note note = new Note();
                    session.persist(note);
                    assertTrue(SnowfleetId.fromBase32(note.id) > 5L << 40);
                });
                factory.inSession(session -> assertEquals(20, session.createSelectionQuery("from Purchase", Purchase.class).list().size()));
                assertEquals(21, worker.asked.get());
            }
        }
    }

    @Test
    void aClientOfTheProgramsStaysItsOwn() throws Exception {
        try (TestWorker worker = new TestWorker(); SnowfleetClient client = new SnowfleetClient(worker.address())) {
            Configuration made = configuration(Purchase.class);
            made.getProperties().put(SnowfleetIdGenerator.CLIENT, client);
            try (SessionFactory factory = made.buildSessionFactory()) {
                factory.inTransaction(session -> session.persist(new Purchase()));
            }
            assertTrue(client.next() > 0);
        }
    }

    @Test
    void whatIsWrongIsSaid() throws Exception {
        try (SessionFactory factory = configuration(Purchase.class).buildSessionFactory()) {
            HibernateException told = assertThrows(HibernateException.class, () -> factory.inTransaction(session -> session.persist(new Purchase())));
            assertTrue(told.getMessage().contains("snowfleet.servers"), told.getMessage());
        }
        Exception bad = assertThrows(HibernateException.class, () -> configuration(Bad.class).buildSessionFactory().close());
        assertTrue(String.valueOf(bad.getMessage() + bad.getCause()).contains("long, Long and String"), bad.toString());
        Configuration away = configuration(Purchase.class);
        away.setProperty(SnowfleetIdGenerator.SERVERS, "127.0.0.1:1");
        try (SessionFactory factory = away.buildSessionFactory()) {
            HibernateException told = assertThrows(HibernateException.class, () -> factory.inTransaction(session -> session.persist(new Purchase())));
            assertEquals(SnowfleetException.Code.UNREACHABLE, ((SnowfleetException) told.getCause()).code());
        }
    }
}
