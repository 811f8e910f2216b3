package io.snowfleet.hibernate;

import static java.lang.annotation.ElementType.FIELD;
import static java.lang.annotation.ElementType.METHOD;
import static java.lang.annotation.RetentionPolicy.RUNTIME;

import java.lang.annotation.Retention;
import java.lang.annotation.Target;
import org.hibernate.annotations.IdGeneratorType;

/**
 * The identifier, a {@code long}, {@code Long} or {@code String} (13 digits of base 32, which sort as the numbers do), comes from a fleet of Snowfleet.
 *
 * <pre>{@code
 * @Id
 * @SnowfleetGenerated
 * private Long id;
 * }</pre>
 *
 * The setting {@value SnowfleetIdGenerator#SERVERS} says where the fleet is ("ids-0:7450,ids-1:7450"), or {@value SnowfleetIdGenerator#CLIENT} has a
 * client that the program made (the Spring Boot starter sets it).
 */
@IdGeneratorType(SnowfleetIdGenerator.class)
@Target({FIELD, METHOD})
@Retention(RUNTIME)
public @interface SnowfleetGenerated {}
